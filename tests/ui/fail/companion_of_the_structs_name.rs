#[derive(Default, session::Session)]
#[session(companion = Visit)]
struct Visit {
    user: Option<String>,
}

fn main() {}
