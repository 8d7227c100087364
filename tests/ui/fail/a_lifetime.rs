#[derive(Default, session::Session)]
struct Visit<'a> {
    user: Option<&'a str>,
}

fn main() {}
