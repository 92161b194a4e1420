//! What others learn about programs: the operator from the health document, people from the page of metrics.

use std::cmp::Ordering;

use realm_sandbox::breaker::Health;

use super::standing::Standing;
use crate::{
    health::{ProgramDocument, ProgramState},
    metrics::{
        TenantLabels,
        programs::{BreachLabels, HookLabels, ProgramMetrics},
    },
    tenant::TenantId,
};

/// Programs in the health document, which is read with a bound of 64 KiB.
const MAX_REPORTED: usize = 128;
/// Characters of a reason in it.
const MAX_REASON_CHARS: usize = 240;

/// The programs that do not run, refused ones first, and how many more there are.
pub(super) fn not_running<'a>(
    standings: impl Iterator<Item = (&'a TenantId, &'a Standing)>,
) -> (Vec<ProgramDocument>, usize) {
    let mut all: Vec<_> =
        standings.filter_map(|(tenant, standing)| document(tenant, standing)).collect();
    all.sort_by(order);
    let omitted = all.len().saturating_sub(MAX_REPORTED);
    all.truncate(MAX_REPORTED);
    (all, omitted)
}

fn order(one: &ProgramDocument, other: &ProgramDocument) -> Ordering {
    let preparing = |document: &ProgramDocument| document.state == ProgramState::Preparing;
    preparing(one)
        .cmp(&preparing(other))
        .then_with(|| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)))
}

fn document(tenant: &TenantId, standing: &Standing) -> Option<ProgramDocument> {
    let TenantId::Named { namespace, name } = tenant else { return None };
    let (state, message) = match standing {
        Standing::Preparing => (ProgramState::Preparing, String::new()),
        Standing::Refused(reason) => {
            (ProgramState::Refused, reason.chars().take(MAX_REASON_CHARS).collect())
        }
        Standing::Ready(program) if program.health() == Health::Healthy => return None,
        Standing::Ready(_) => (
            ProgramState::Suspended,
            "it failed again and again and was stopped for a while".to_owned(),
        ),
    };
    Some(ProgramDocument {
        namespace: namespace.to_string(),
        name: name.to_string(),
        state,
        message,
    })
}

/// Writes the counts of one program.
pub(super) fn write(metrics: &ProgramMetrics, tenant: &str, model: &str, standing: &Standing) {
    let labels = TenantLabels { tenant: tenant.to_owned(), model: model.to_owned() };
    let Standing::Ready(program) = standing else {
        metrics.set_ready(&labels, false);
        return;
    };
    metrics.set_ready(&labels, program.health() == Health::Healthy);
    let counters = program.counters();
    for (hook, counter) in &counters.hooks {
        let TenantLabels { tenant, model } = labels.clone();
        let labels = HookLabels { tenant, model, hook: hook.name() };
        metrics.add_hook(&labels, counter.calls, counter.time.as_secs_f64());
    }
    for ((_, kind), count) in &counters.breaches {
        let TenantLabels { tenant, model } = labels.clone();
        metrics.add_breaches(&BreachLabels { tenant, model, kind: kind.name() }, *count);
    }
    metrics.add_requests(&labels, counters.rejected, counters.skipped, counters.suspensions);
}
