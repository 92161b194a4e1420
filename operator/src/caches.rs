//! One watch for each kind, kept in memory, so that a reconcile never lists. Each change names the objects to reconcile.
//!
//! Children are watched by label, so objects of other programs never enter. Secrets are not watched: that would need
//! the right to read every Secret of the cluster.

use std::{
    fmt::Debug,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};

use futures::{SinkExt, StreamExt, channel::mpsc};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::DynamicObject,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, reflector, store::Writer},
        watcher,
    },
};
use realm_crds::{RealmModel, RealmTenant, names};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{capabilities::service_monitor_resource, metrics::Metrics, programmed::Programmed};

/// Changes that may wait for the controllers; beyond it the watches wait.
const CHANGES_MAX: usize = 1024;

/// Watched objects.
#[derive(Clone, Debug)]
pub struct Caches {
    /// All models.
    pub models: Store<RealmModel>,
    /// All tenants.
    pub tenants: Store<RealmTenant>,
    /// Children.
    pub deployments: Store<Deployment>,
    /// Children.
    pub services: Store<Service>,
    /// Children.
    pub config_maps: Store<ConfigMap>,
    /// Children.
    pub service_accounts: Store<ServiceAccount>,
    /// Children.
    pub claims: Store<PersistentVolumeClaim>,
    /// Pods of the Deployments.
    pub pods: Store<Pod>,
    /// Children, while the cluster knows their kind.
    pub service_monitors: Arc<RwLock<Option<Store<DynamicObject>>>>,
    /// What each model's pods were given.
    pub programmed: Programmed,
    tenants_changed: mpsc::Sender<ObjectRef<RealmTenant>>,
    models_changed: mpsc::Sender<ObjectRef<RealmModel>>,
}

/// Changes that ask for reconciles.
#[derive(Debug)]
pub struct Changes {
    /// Models to reconcile.
    pub models: mpsc::Receiver<ObjectRef<RealmModel>>,
    /// Tenants to reconcile.
    pub tenants: mpsc::Receiver<ObjectRef<RealmTenant>>,
}

/// Starts watches until it is cancelled.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "kube's client has none")]
pub struct Watches {
    client: Client,
    stop: CancellationToken,
    metrics: Metrics,
    models: mpsc::Sender<ObjectRef<RealmModel>>,
    tenants: mpsc::Sender<ObjectRef<RealmTenant>>,
}

impl Watches {
    /// Starts a watch of every kind that exists on any cluster.
    #[must_use]
    pub fn start(
        client: Client,
        stop: CancellationToken,
        metrics: Metrics,
    ) -> (Self, Caches, Changes) {
        let (models, models_changed) = mpsc::channel(CHANGES_MAX);
        let (tenants, tenants_changed) = mpsc::channel(CHANGES_MAX);
        let watches = Self { client, stop, metrics, models, tenants };
        let programmed = Programmed::default();
        let tenants = watches.tenants(programmed.clone());
        let caches = Caches {
            models: watches.models(tenants.clone()),
            tenants,
            deployments: watches.children(),
            services: watches.children(),
            config_maps: watches.children(),
            service_accounts: watches.children(),
            claims: watches.children(),
            pods: watches.children(),
            service_monitors: Arc::default(),
            programmed,
            tenants_changed: watches.tenants.clone(),
            models_changed: watches.models.clone(),
        };
        (watches, caches, Changes { models: models_changed, tenants: tenants_changed })
    }

    /// Watches ServiceMonitors until `stop`.
    #[must_use]
    pub fn service_monitors(&self, stop: CancellationToken) -> Store<DynamicObject> {
        let resource = service_monitor_resource();
        let api = Api::all_with(self.client.clone(), &resource);
        let watches = Self { stop, ..self.clone() };
        watches.watch_children(api, Writer::new(resource))
    }

    fn children<K>(&self) -> Store<K>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.watch_children(Api::<K>::all(self.client.clone()), Writer::default())
    }

    /// A model's change, its end too, concerns the tenants that name it.
    fn models(&self, tenants: Store<RealmTenant>) -> Store<RealmModel> {
        let (api, writer) = (Api::<RealmModel>::all(self.client.clone()), Writer::default());
        let concerns = move |model: &RealmModel| {
            let (namespace, name) = (model.namespace(), model.name_any());
            let named = tenants.state_filter(|tenant| {
                tenant.namespace() == namespace && tenant.wants_model(&name)
            });
            named.iter().map(|tenant| ObjectRef::from_obj(&**tenant)).collect()
        };
        self.watch_with(api, watcher::Config::default(), writer, self.tenants.clone(), concerns)
    }

    /// A tenant's change concerns the models that it names, and those that still list it.
    fn tenants(&self, programmed: Programmed) -> Store<RealmTenant> {
        let (api, writer) = (Api::<RealmTenant>::all(self.client.clone()), Writer::default());
        let concerns = move |tenant: &RealmTenant| {
            let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
            let named = tenant.spec.models.iter().map(|model| model.name.clone());
            let mut models: Vec<String> =
                named.chain(programmed.models_of(&namespace, &name)).collect();
            models.sort();
            models.dedup();
            models.into_iter().map(|model| ObjectRef::new(&model).within(&namespace)).collect()
        };
        self.watch_with(api, watcher::Config::default(), writer, self.models.clone(), concerns)
    }

    fn watch_children<K>(&self, api: Api<K>, writer: Writer<K>) -> Store<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Hash + Eq + Clone + Send + Sync,
    {
        let label = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
        let config = watcher::Config::default().labels(&label);
        self.watch_with(api, config, writer, self.models.clone(), model_of_child)
    }

    /// Keeps `writer` current, and sends what each changed object concerns to `changes`.
    fn watch_with<K, Concerned>(
        &self,
        api: Api<K>,
        config: watcher::Config,
        writer: Writer<K>,
        mut changes: mpsc::Sender<ObjectRef<Concerned>>,
        concerns: impl Fn(&K) -> Vec<ObjectRef<Concerned>> + Send + 'static,
    ) -> Store<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Hash + Eq + Clone + Send + Sync,
        Concerned: Resource<DynamicType = ()> + Send + 'static,
    {
        let kind = api.resource_url().rsplit('/').next().unwrap_or_default().to_owned();
        let store = writer.as_reader();
        let events = watcher(api, config)
            .default_backoff()
            .modify(|object| object.managed_fields_mut().clear());
        let objects = reflector(writer, events).touched_objects();
        let (stop, metrics) = (self.stop.clone(), self.metrics.clone());
        tokio::spawn(async move {
            let mut objects = std::pin::pin!(objects.take_until(stop.cancelled_owned()));
            while let Some(object) = objects.next().await {
                match object {
                    Ok(object) => {
                        for model in concerns(&object) {
                            if changes.send(model).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => metrics.watch_failed(&kind, &error),
                }
            }
        });
        store
    }
}

/// The model that a child is labelled with.
fn model_of_child<K: Resource>(child: &K) -> Vec<ObjectRef<RealmModel>> {
    let namespace = child.meta().namespace.as_deref().unwrap_or_default();
    let model = child.meta().labels.as_ref().and_then(|labels| labels.get(names::LABEL_MODEL));
    model.map(|model| ObjectRef::new(model).within(namespace)).into_iter().collect()
}

impl Caches {
    /// Waits until every watch has seen all objects once.
    pub async fn ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.models.wait_until_ready().await?;
        self.tenants.wait_until_ready().await?;
        self.deployments.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        self.service_accounts.wait_until_ready().await?;
        self.claims.wait_until_ready().await?;
        self.pods.wait_until_ready().await
    }

    /// A model's Deployment.
    #[must_use]
    pub fn deployment(&self, namespace: &str, name: &str) -> Option<Arc<Deployment>> {
        self.deployments.get(&ObjectRef::new(name).within(namespace))
    }

    /// A ServiceMonitor, when their kind is known and watched.
    #[must_use]
    pub fn service_monitor(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let store = self.service_monitors.read().unwrap_or_else(PoisonError::into_inner);
        let reference = ObjectRef::new_with(name, service_monitor_resource()).within(namespace);
        store.as_ref().and_then(|store| store.get(&reference))
    }

    /// Tenants that name a model.
    #[must_use]
    pub fn tenants_of(&self, namespace: &str, model: &str) -> Vec<Arc<RealmTenant>> {
        self.tenants.state_filter(|tenant| {
            tenant.namespace().as_deref() == Some(namespace) && tenant.wants_model(model)
        })
    }

    /// Asks for a reconcile of the tenants that name a model. When the queue is full they are reconciled anyway, only
    /// later: each looks again while its models are behind.
    pub fn wake_tenants_of(&self, namespace: &str, model: &str) {
        for tenant in self.tenants_of(namespace, model) {
            let _ = self.tenants_changed.clone().try_send(ObjectRef::from_obj(&*tenant));
        }
    }

    /// Asks for a reconcile of models, whose tables lack a key that was just made.
    pub fn wake_models<'a>(&self, namespace: &str, models: impl Iterator<Item = &'a str>) {
        for model in models {
            let _ = self.models_changed.clone().try_send(ObjectRef::new(model).within(namespace));
        }
    }
}
