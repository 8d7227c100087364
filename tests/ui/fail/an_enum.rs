#[derive(Default, session::Session)]
enum Visit {
    #[default]
    Anonymous,
}

fn main() {}
