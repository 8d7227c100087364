use session::Migration;

#[derive(Default, session::Session)]
struct Visit {
    #[session(migrate = two_arguments)]
    a: u64,
    #[session(migrate = another_result)]
    b: u64,
}

fn two_arguments(old: String, _other: String) -> u64 {
    old.len() as u64
}

fn another_result(old: String) -> String {
    old
}

#[derive(Default, session::Session)]
#[session(version = 1, migrate = without_a_result)]
struct Versioned {
    field: u64,
}

fn without_a_result(_from: u32, _fields: &mut Migration<'_>) {}

fn main() {}
