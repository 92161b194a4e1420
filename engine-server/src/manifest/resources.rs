//! Sorts documents into RealmModels, RealmTenants and Secrets, each checked by the same rules as the cluster's.
//!
//! Kinds of other groups are skipped with a warning, so that one file may hold everything that `kubectl apply` takes;
//! unknown kinds of Realm's own group, and near misses of its kinds, are faults.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use realm_crds::{
    RealmModel, RealmTenant,
    names::{GROUP, VERSION},
    resolve::DEFAULT_NAMESPACE,
    validation::InvalidManifest,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    decode::{FieldFault, decode},
    document::documents,
    fault::{Fault, ManifestError},
    files::Text,
    node::{Node, Step, parse_path},
    suggest::nearest,
};

const MODEL: &str = "RealmModel";
const TENANT: &str = "RealmTenant";
const SECRET: &str = "Secret";

/// Where a resource stands, to complain about it later.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    file: String,
    resource: String,
    node: Node,
}

/// A resource and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// The resource.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A Secret that holds API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its content, decoded.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// Everything that the files hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// All models.
    pub models: Vec<Located<RealmModel>>,
    /// All tenants.
    pub tenants: Vec<Located<RealmTenant>>,
    /// All Secrets.
    pub secrets: Vec<Located<Secret>>,
    /// What was skipped.
    pub warnings: Vec<String>,
}

/// Reads all resources of all texts; every fault of every document is reported at once.
pub fn parse(texts: &[Text]) -> Result<Manifests, ManifestError> {
    let schemas = Schemas::load();
    let mut manifests = Manifests::default();
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for text in texts {
        match documents(text) {
            Ok(nodes) => {
                for node in nodes {
                    let place = Place::new(&text.name, node);
                    let added = add(&mut manifests, &schemas, &mut seen, place);
                    faults.extend(added.err().unwrap_or_default());
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(manifests) } else { Err(ManifestError::Faults(faults)) }
}

impl Place {
    fn new(file: &str, node: Node) -> Self {
        let kind = node.text("kind").unwrap_or("resource without kind");
        let name = node
            .field("metadata")
            .and_then(|(_, metadata)| metadata.text("name"))
            .unwrap_or("(no name)");
        let resource = format!("{kind} {name} (document at line {})", node.line);
        Self { file: file.to_owned(), resource, node }
    }

    /// A fault of this resource at `field`.
    pub fn fault(&self, field: &str, message: impl Into<String>) -> Fault {
        Fault {
            file: self.file.clone(),
            line: self.node.line_of(&parse_path(field)),
            resource: self.resource.clone(),
            field: field.to_owned(),
            message: message.into(),
        }
    }

    /// `first.key` if the resource has it, else `second.key`.
    pub fn first_present(&self, first: &str, second: &str, key: &str) -> String {
        let present = self.node.field(first).is_some_and(|(_, fields)| fields.field(key).is_some());
        format!("{}.{key}", if present { first } else { second })
    }

    fn at_field(&self, fault: FieldFault) -> Fault {
        Fault {
            file: self.file.clone(),
            line: fault.line,
            resource: self.resource.clone(),
            field: fault.field,
            message: fault.message,
        }
    }

    fn decode<T: DeserializeOwned>(&self, schema: &Value) -> Result<T, Vec<Fault>> {
        decode(&self.node, schema)
            .map_err(|faults| faults.into_iter().map(|fault| self.at_field(fault)).collect())
    }

    fn invalid(&self, invalid: InvalidManifest) -> Vec<Fault> {
        invalid.errors.into_iter().map(|error| self.fault(&error.field, error.message)).collect()
    }
}

/// The OpenAPI schemas of the kinds, for the names of their fields.
struct Schemas {
    model: Value,
    tenant: Value,
    secret: Value,
}

impl Schemas {
    fn load() -> Self {
        let [model, tenant] = realm_crds::crd::definitions()
            .map(|definitions| definitions.map(|(_, definition)| with_metadata(definition)))
            .unwrap_or_default();
        let named =
            json!({ "properties": { "data": {}, "stringData": {}, "type": {}, "immutable": {} } });
        Self { model, tenant, secret: add_metadata(named) }
    }
}

fn with_metadata(mut definition: Value) -> Value {
    let schema = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").map(Value::take);
    add_metadata(schema.unwrap_or_default())
}

/// The fields of metadata that people write.
fn add_metadata(mut schema: Value) -> Value {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let metadata = json!({ "name": {}, "namespace": {}, "labels": {}, "annotations": {} });
        properties.insert("metadata".into(), json!({ "properties": metadata }));
    }
    schema
}

type Seen = BTreeMap<(String, String, String), String>;

fn add(
    manifests: &mut Manifests,
    schemas: &Schemas,
    seen: &mut Seen,
    place: Place,
) -> Result<(), Vec<Fault>> {
    let (version, kind) = type_of(&place).map_err(|fault| vec![fault])?;
    match (version.as_str(), kind.as_str()) {
        (version, MODEL) if version == own_version() => {
            let value: RealmModel = place.decode(&schemas.model)?;
            value.validate().map_err(|invalid| place.invalid(invalid))?;
            unique(
                seen,
                &place,
                MODEL,
                value.metadata.namespace.as_deref(),
                value.metadata.name.as_deref(),
            )?;
            manifests.models.push(Located { value, place });
        }
        (version, TENANT) if version == own_version() => {
            let value: RealmTenant = place.decode(&schemas.tenant)?;
            value.validate().map_err(|invalid| place.invalid(invalid))?;
            unique(
                seen,
                &place,
                TENANT,
                value.metadata.namespace.as_deref(),
                value.metadata.name.as_deref(),
            )?;
            manifests.tenants.push(Located { value, place });
        }
        ("v1", SECRET) => {
            let value = secret(&place, place.decode(&schemas.secret)?)?;
            unique(seen, &place, SECRET, Some(&value.namespace), Some(&value.name))?;
            manifests.secrets.push(Located { value, place });
        }
        (version, kind) => {
            refuse_near_miss(&place, version, kind)?;
            manifests.warnings.push(format!(
                "{}:{}: {} skipped: only RealmModel, RealmTenant and Secret mean something here",
                place.file, place.node.line, place.resource
            ));
        }
    }
    Ok(())
}

fn own_version() -> String {
    format!("{GROUP}/{VERSION}")
}

fn type_of(place: &Place) -> Result<(String, String), Fault> {
    let field = |name: &str| {
        place.node.text(name).map(str::to_owned).ok_or_else(|| {
            let example = if name == "kind" { MODEL.to_owned() } else { own_version() };
            place.fault(name, format!("missing or not a text; for example `{name}: {example}`"))
        })
    };
    Ok((field("apiVersion")?, field("kind")?))
}

/// A kind that is nearly ours is a mistake, not something to skip.
fn refuse_near_miss(place: &Place, version: &str, kind: &str) -> Result<(), Vec<Fault>> {
    let own_group =
        version.split('/').next().is_some_and(|group| nearest(group, [GROUP]).is_some());
    if matches!(kind, MODEL | TENANT) {
        return Err(vec![place.fault(
            "apiVersion",
            format!("`{version}` is not known; {kind} is of {}", own_version()),
        )]);
    }
    match nearest(kind, [MODEL, TENANT]) {
        Some(meant) => {
            Err(vec![place.fault("kind", format!("no such kind; did you mean `{meant}`?"))])
        }
        None if own_group => Err(vec![
            place.fault("kind", format!("no such kind; {GROUP} has {MODEL} and {TENANT}")),
        ]),
        None if kind == "List" => {
            Err(vec![place.fault("kind", "give the items of the List as documents of their own")])
        }
        None => Ok(()),
    }
}

fn unique(
    seen: &mut Seen,
    place: &Place,
    kind: &str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<(), Vec<Fault>> {
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned();
    let key = (kind.to_owned(), namespace, name.unwrap_or_default().to_owned());
    let here = format!("{}:{}", place.file, place.node.line);
    match seen.insert(key, here) {
        Some(first) => Err(vec![
            place.fault("metadata.name", format!("the same resource stands at {first} already")),
        ]),
        None => Ok(()),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretDocument {
    metadata: SecretMetadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
    #[serde(default)]
    string_data: BTreeMap<String, String>,
    #[serde(default, rename = "type")]
    _kind: Option<String>,
    #[serde(default, rename = "immutable")]
    _immutable: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
struct SecretMetadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default, rename = "labels")]
    _labels: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "annotations")]
    _annotations: Option<BTreeMap<String, String>>,
}

/// Decodes the content; `stringData` wins over `data`, as in the cluster.
fn secret(place: &Place, document: SecretDocument) -> Result<Secret, Vec<Fault>> {
    let mut data = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, text) in document.data {
        match STANDARD.decode(text.trim()) {
            Ok(bytes) => drop(data.insert(key, bytes)),
            Err(error) => faults.push(Fault {
                line: place.node.line_of(&[Step::Field("data".into()), Step::Field(key.clone())]),
                ..place.fault(
                    &format!("data.{key}"),
                    format!("not base64 ({error}); plain text belongs in stringData"),
                )
            }),
        }
    }
    data.extend(document.string_data.into_iter().map(|(key, text)| (key, text.into_bytes())));
    let namespace = document.metadata.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    if faults.is_empty() {
        Ok(Secret { namespace, name: document.metadata.name, data })
    } else {
        Err(faults)
    }
}
