#[derive(Default, session::Session)]
#[session(prefix = "one", prefix = "two")]
struct Visit {
    #[session(rotate, secret)]
    #[session(rotate)]
    user: Option<String>,
}

fn main() {}
