//! A program of the world `guard`, as an author writes it.

use realm_guest::{Plan, Prompt, Reject, Request, guard::RequestHook};

struct Program;

impl RequestHook for Program {
    fn on_request(_info: Request, input: Prompt) -> Result<Plan, Reject> {
        match input {
            Prompt::Tokens(_) => Err(Reject::new(400, "no_tokens", "Send text.")),
            _ => Ok(Plan { max_tokens: Some(200), ..Plan::default() }),
        }
    }
}

realm_guest::guard::export!(Program);

#[test]
fn a_plan_says_only_what_the_program_says() {
    let request = Request {
        id: String::new(),
        model: String::new(),
        tenant: String::new(),
        endpoint: "chat".to_owned(),
        headers: Vec::new(),
        max_tokens: 1,
        seed: 7,
    };
    let plan = Program::on_request(request.clone(), Prompt::Text(String::new())).unwrap();
    assert_eq!(plan, Plan { max_tokens: Some(200), ..Plan::default() });
    let refused = Program::on_request(request, Prompt::Tokens(vec![1])).unwrap_err();
    assert_eq!(refused.status, 400);
}
