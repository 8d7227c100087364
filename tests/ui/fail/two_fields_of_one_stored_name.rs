#[derive(Default, session::Session)]
struct Visit {
    user: Option<String>,
    #[session(rename = "user")]
    account: Option<String>,
    #[session(alias = "user")]
    customer: Option<String>,
    #[session(alias = "buyer")]
    buyer: Option<String>,
}

fn main() {}
