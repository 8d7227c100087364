#[derive(session::Session)]
struct Visit {
    user: Option<String>,
}

fn main() {}
