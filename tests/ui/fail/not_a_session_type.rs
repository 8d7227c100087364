use session::Session;

#[derive(Default)]
struct Visit {
    user: Option<String>,
}

fn handler(session: Session<Visit>) {}

fn main() {}
