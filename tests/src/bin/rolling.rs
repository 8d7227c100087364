//! One application in two versions, for a rolling deploy: `rolling <folder> old|new`. Prints its
//! address; ends when its standard input does.
//!
//! Both answer `/sign-in/{user}`, `/name/{name}`, `/add/{product}`, `/size/{size}` and `/show`, each
//! by the struct that its version has.

use std::io::Read as _;

use actix_web::web;
use session::{FilesystemStore, SessionManager, SessionMiddleware};
use session_tests::events::Events;
use session_tests::server::Server;

/// What is running everywhere.
mod old {
    use actix_web::web;
    use session::Session;

    #[derive(Debug, Default, Session)]
    pub(super) struct Visit {
        #[session(rotate)]
        user: Option<String>,
        name: String,
        cart: Vec<u32>,
        size: u32,
    }

    pub(super) fn routes(config: &mut web::ServiceConfig) {
        config
            .route(
                "/sign-in/{user}",
                web::get().to(
                    async |mut session: Session<Visit>, user: web::Path<String>| {
                        session.set_user(Some(user.into_inner()));
                        "ok"
                    },
                ),
            )
            .route(
                "/name/{name}",
                web::get().to(
                    async |mut session: Session<Visit>, name: web::Path<String>| {
                        session.set_name(name.into_inner());
                        "ok"
                    },
                ),
            )
            .route(
                "/add/{product}",
                web::get().to(
                    async |mut session: Session<Visit>, product: web::Path<u32>| {
                        session.cart_mut().push(*product);
                        "ok"
                    },
                ),
            )
            .route(
                "/size/{size}",
                web::get().to(async |mut session: Session<Visit>, size: web::Path<u32>| {
                    session.set_size(*size);
                    "ok"
                }),
            )
            .route(
                "/show",
                web::get().to(async |session: Session<Visit>| {
                    let Visit {
                        user,
                        name,
                        cart,
                        size,
                    } = &**session;
                    format!("{user:?} {name} {cart:?} {size}")
                }),
            );
    }
}

/// What is being deployed: `name` is `full_name` now, the cart knows quantities, there is an owner
/// and a theme, and the size is kept in other units.
mod new {
    use std::collections::BTreeMap;

    use actix_web::web;
    use session::{Migration, MigrationError, Session};

    #[derive(Debug, Default, Session)]
    #[session(version = 1, migrate = to_millimetres)]
    pub(super) struct Visit {
        #[session(owner)]
        user: Option<String>,
        #[session(alias = "name")]
        full_name: String,
        #[session(migrate = counted)]
        cart: BTreeMap<u32, u32>,
        millimetres: u32,
        theme: String,
    }

    fn counted(products: Vec<u32>) -> BTreeMap<u32, u32> {
        let mut cart = BTreeMap::new();
        for product in products {
            *cart.entry(product).or_default() += 1;
        }
        cart
    }

    fn to_millimetres(_from: u32, fields: &mut Migration<'_>) -> Result<(), MigrationError> {
        if let Some(size) = fields.get::<u32>("size") {
            fields.set("millimetres", &(size * 10))?;
        }
        Ok(())
    }

    pub(super) fn routes(config: &mut web::ServiceConfig) {
        config
            .route(
                "/sign-in/{user}",
                web::get().to(
                    async |mut session: Session<Visit>, user: web::Path<String>| {
                        session.set_user(Some(user.into_inner()));
                        "ok"
                    },
                ),
            )
            .route(
                "/name/{name}",
                web::get().to(
                    async |mut session: Session<Visit>, name: web::Path<String>| {
                        session.set_full_name(name.into_inner());
                        session.set_theme(String::from("dark"));
                        "ok"
                    },
                ),
            )
            .route(
                "/add/{product}",
                web::get().to(
                    async |mut session: Session<Visit>, product: web::Path<u32>| {
                        *session.cart_mut().entry(*product).or_default() += 1;
                        "ok"
                    },
                ),
            )
            .route(
                "/size/{size}",
                web::get().to(async |mut session: Session<Visit>, size: web::Path<u32>| {
                    session.set_millimetres(*size * 10);
                    "ok"
                }),
            )
            .route(
                "/show",
                web::get().to(async |session: Session<Visit>| {
                    let Visit {
                        user,
                        full_name,
                        cart,
                        millimetres,
                        theme,
                    } = &**session;
                    format!("{user:?} {full_name} {cart:?} {millimetres} {theme}")
                }),
            );
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the test that started it reads its address"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: rolling <folder> old|new")?;
    let is_new = arguments.next().as_deref() == Some("new");
    let sessions = SessionManager::new(FilesystemStore::open(folder)?);
    let server = Server::start(2, &Events::default(), move |config| {
        config.service(
            web::scope("")
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(if is_new { new::routes } else { old::routes }),
        );
    });
    println!("{}", server.address);
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
