#[derive(Default, session::Session)]
struct Visit;

fn main() {}
