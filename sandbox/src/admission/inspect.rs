//! What a component holds, before anything compiles it: counts, sizes and features, each with its bound.

use wasmparser::{
    ComponentExternalKind, MemoryType, Parser, Payload, TableType, TypeRef, Validator,
};

use super::refusal::Refusal;
use crate::{
    engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES, features},
    limits::MAX_MEMORY_BYTES,
};

/// Bytes of one function. The compiler's time grows faster than a function.
pub const MAX_BODY_BYTES: u64 = 64 << 10;
/// Functions of all modules.
pub const MAX_FUNCTIONS: u64 = 10_000;
/// Components inside the component. Toolchains make one for each interface and stub; those of JavaScript have 24.
const MAX_NESTED: u64 = 64;
/// Names that the component exports, and that it imports.
const MAX_NAMES: u64 = 256;
/// Names that one of its core modules exports or imports.
const MAX_CORE_NAMES: u64 = 10_000;
/// Bytes of a page of memory.
const PAGE_BYTES: u64 = 64 << 10;

/// What was seen in a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its size.
    pub bytes: usize,
    /// Interfaces that it imports, without those that only name types.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// Functions of all its modules.
    pub functions: u64,
    /// Bytes of the largest function.
    pub largest_body: u64,
    /// Core instances.
    pub instances: u64,
    /// Memories.
    pub memories: u64,
    /// Bytes of memory that it begins with.
    pub memory_bytes: u64,
    /// Tables.
    pub tables: u64,
    nested: u64,
    depth: u64,
}

/// Looks at a component of at most `max_bytes`.
pub fn inspect(wasm: &[u8], max_bytes: usize) -> Result<Report, Refusal> {
    if wasm.len() > max_bytes {
        return Err(Refusal::TooLarge { bytes: wasm.len(), limit: max_bytes });
    }
    if Parser::is_core_wasm(wasm) {
        return Err(Refusal::CoreModule);
    }
    let mut report = Report { bytes: wasm.len(), ..Report::default() };
    for payload in Parser::new(0).parse_all(wasm) {
        report.see(&payload.map_err(malformed)?)?;
    }
    Validator::new_with_features(features()).validate_all(wasm).map_err(malformed)?;
    Ok(report)
}

impl Report {
    fn see(&mut self, payload: &Payload<'_>) -> Result<(), Refusal> {
        match payload {
            Payload::CodeSectionStart { count, .. } => self.functions(*count),
            Payload::CodeSectionEntry(body) => self.body(body.range().len() as u64),
            Payload::MemorySection(memories) => memories
                .clone()
                .into_iter()
                .try_for_each(|memory| self.memory(&memory.map_err(malformed)?)),
            Payload::TableSection(tables) => tables
                .clone()
                .into_iter()
                .try_for_each(|table| self.table(&table.map_err(malformed)?.ty)),
            Payload::ImportSection(imports) => core_imports(imports),
            Payload::ExportSection(exports) => {
                within("core exports", exports.count().into(), MAX_CORE_NAMES, NAMES_ADVICE)
            }
            Payload::InstanceSection(instances) => {
                self.instances += u64::from(instances.count());
                let advice = "link its modules into one";
                // Instances that only rename exports are among these, so the bound is higher than the pool's.
                within("core instances", self.instances, u64::from(MAX_CORE_INSTANCES) * 4, advice)
            }
            _ => self.see_component(payload),
        }
    }

    fn see_component(&mut self, payload: &Payload<'_>) -> Result<(), Refusal> {
        match payload {
            Payload::ComponentSection { .. } => {
                self.nested += 1;
                self.depth += 1;
                within("nested components", self.nested, MAX_NESTED, "compose fewer components")
            }
            Payload::ModuleSection { .. } => {
                self.depth += 1;
                Ok(())
            }
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::ComponentImportSection(imports) if self.depth == 0 => {
                for import in imports.clone() {
                    self.imports.push(import.map_err(malformed)?.name.name.to_owned());
                    within("imports", self.imports.len() as u64, MAX_NAMES, NAMES_ADVICE)?;
                }
                Ok(())
            }
            Payload::ComponentExportSection(exports) if self.depth == 0 => {
                for export in exports.clone() {
                    let export = export.map_err(malformed)?;
                    if export.kind == ComponentExternalKind::Instance {
                        self.exports.push(export.name.name.to_owned());
                    }
                    within("exports", self.exports.len() as u64, MAX_NAMES, NAMES_ADVICE)?;
                }
                within("exports", exports.count().into(), MAX_NAMES, NAMES_ADVICE)
            }
            Payload::TagSection(_) => Err(Refusal::Feature {
                feature: "exceptions",
                advice: "build with exceptions that abort",
            }),
            _ => Ok(()),
        }
    }

    fn functions(&mut self, count: u32) -> Result<(), Refusal> {
        self.functions += u64::from(count);
        within("functions", self.functions, MAX_FUNCTIONS, "leave unused code out")
    }

    fn body(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.largest_body = self.largest_body.max(bytes);
        let advice =
            "split it, or build for size: the compiler's time grows faster than a function";
        within("a function of bytes", bytes, MAX_BODY_BYTES, advice)
    }

    fn memory(&mut self, memory: &MemoryType) -> Result<(), Refusal> {
        check_memory(memory)?;
        self.memories += 1;
        self.memory_bytes =
            self.memory_bytes.saturating_add(memory.initial.saturating_mul(PAGE_BYTES));
        within("memories", self.memories, u64::from(MAX_MEMORIES), "link its modules into one")?;
        let advice = "lower its initial memory";
        within("initial memory of bytes", self.memory_bytes, MAX_MEMORY_BYTES as u64, advice)
    }

    fn table(&mut self, table: &TableType) -> Result<(), Refusal> {
        self.tables += 1;
        let advice = "leave unused functions out of tables";
        within("tables", self.tables, u64::from(MAX_TABLES), advice)?;
        within("a table of elements", table.initial, MAX_TABLE_ELEMENTS as u64, advice)
    }
}

const NAMES_ADVICE: &str = "export and import only what the program's world names";

fn check_memory(memory: &MemoryType) -> Result<(), Refusal> {
    if memory.memory64 {
        let advice = "build for wasm32: a program's memory is at most 64 MiB";
        return Err(Refusal::Feature { feature: "64-bit memory", advice });
    }
    if memory.shared {
        let advice = "build without threads: each request has an instance of its own";
        return Err(Refusal::Feature { feature: "shared memory", advice });
    }
    Ok(())
}

fn within(what: &'static str, found: u64, limit: u64, advice: &'static str) -> Result<(), Refusal> {
    if found > limit {
        return Err(Refusal::TooMuch { what, found, limit, advice });
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn malformed(error: wasmparser::BinaryReaderError) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn core_imports(imports: &wasmparser::ImportSectionReader<'_>) -> Result<(), Refusal> {
    within("core imports", imports.count().into(), MAX_CORE_NAMES, NAMES_ADVICE)?;
    for import in imports.clone().into_imports() {
        if let TypeRef::Memory(memory) = import.map_err(malformed)?.ty {
            check_memory(&memory)?;
        }
    }
    Ok(())
}
