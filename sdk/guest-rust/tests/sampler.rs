//! A program of the world `sampler`, as an author writes it.

use realm_guest::{
    Hooks, Plan, Prompt, Reject, Request,
    sampler::{Decision, LogitHook, RequestHook, Step},
};

struct Program;

impl RequestHook for Program {
    fn on_request(_info: Request, _input: Prompt) -> Result<Plan, Reject> {
        Ok(Plan { subscribe: Hooks::LOGITS, top: 8, ..Plan::default() })
    }
}

impl LogitHook for Program {
    fn on_logits(_at: Step, ids: Vec<u32>, _logits: Vec<f32>) -> Decision {
        if ids.len() > 1 { Decision::Pick(1) } else { Decision::Pass }
    }
}

realm_guest::sampler::export!(Program);

#[test]
fn the_second_candidate_is_picked() {
    let at = Step { position: 0, last: 0, entropy: 1.0 };
    assert_eq!(Program::on_logits(at, vec![5, 6], vec![1.0, 0.5]), Decision::Pick(1));
    assert_eq!(Program::on_logits(at, vec![5], vec![1.0]), Decision::Pass);
}
