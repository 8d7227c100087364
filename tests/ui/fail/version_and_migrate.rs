use session::{Migration, MigrationError};

#[derive(Default, session::Session)]
#[session(version = 1)]
struct OnlyAVersion {
    field: u64,
}

#[derive(Default, session::Session)]
#[session(migrate = to_one)]
struct OnlyAMigration {
    field: u64,
}

#[derive(Default, session::Session)]
#[session(version = 0, migrate = to_one)]
struct BeforeTheFirst {
    field: u64,
}

#[derive(Default, session::Session)]
#[session(version = "2", migrate = "to_one")]
struct InQuotes {
    field: u64,
}

fn to_one(_from: u32, _fields: &mut Migration<'_>) -> Result<(), MigrationError> {
    Ok(())
}

fn main() {}
