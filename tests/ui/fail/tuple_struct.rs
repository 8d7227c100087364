#[derive(Default, session::Session)]
struct Visit(u64);

fn main() {}
