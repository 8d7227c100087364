#[derive(Default, session::Session)]
struct Visit {
    user: &'static str,
}

fn main() {}
