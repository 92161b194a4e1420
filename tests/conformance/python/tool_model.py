"""The demo model with a chat template that has a place for tools: real weights, held to calls by a grammar."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MANIFEST = """
apiVersion: realm.querent.io/v1alpha1
kind: RealmModel
metadata: {{name: smollm2}}
spec:
  source: {{http: {{url: "https://models.example/tools.gguf", sha256: "{digest}"}}}}
  engine: {{contextLength: 1024, parallel: 4}}
---
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{free: rlm_key_of_the_tenant_free}}
---
apiVersion: realm.querent.io/v1alpha1
kind: RealmTenant
metadata: {{name: free}}
spec:
  models: [{{name: smollm2}}]
  apiKeys: [{{name: main, secretKeyRef: {{name: keys, key: free}}}}]
"""
_KEY = b"tokenizer.chat_template"
_STRING = (8).to_bytes(4, "little")
"""GGUF's number of the type string; its value is a length of eight bytes and the text."""


def write(folder: Path) -> tuple[Path, Path]:
    """The model's file and a manifest that serves it."""
    model, manifest = folder / "tools.gguf", folder / "tools.yaml"
    content = with_template(Path(os.environ["REALM_TEST_MODEL"]).read_bytes(), TEMPLATE.encode())
    model.write_bytes(content)
    manifest.write_text(MANIFEST.format(digest=hashlib.sha256(content).hexdigest()))
    return model, manifest


def with_template(content: bytes, template: bytes) -> bytes:
    """Puts a template in the place of the model's own, filled up by a comment so that nothing behind it moves."""
    start = content.index(_KEY + _STRING) + len(_KEY) + len(_STRING)
    length = int.from_bytes(content[start : start + 8], "little")
    start += 8
    filler = length - len(template) - len(b"{##}")
    assert filler >= 0, f"the template has at most {length - 4} bytes"
    return content[:start] + template + b"{#" + b" " * filler + b"#}" + content[start + length :]
