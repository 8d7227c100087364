//! What becomes of a typical record without any store: encoding and decoding it, beside
//! rmp-serde on the same data as one struct.
//!
//! `records` compares the times; `records <operation> <times>` does one thing, for a profiler.

use std::hint::black_box;

use serde::{Deserialize, Serialize};
use session::{Record, SessionToken};
use session_benches::visit::{self, Line, Records};
use session_benches::{Contender, compare};

/// The fields of a visit, as whoever has no session library would store them.
#[derive(Serialize, Deserialize)]
struct Plain {
    user: Option<String>,
    cart: Vec<Line>,
    csrf: Option<String>,
    views: u64,
}

fn main() {
    let token = SessionToken::generate().expect("a token");
    let key = token.key();
    let record = Records::new().record(&token);
    let bytes = record.encode(&key);
    let (user, cart, csrf, views) = visit::decode(&record);
    let plain = Plain {
        user,
        cart,
        csrf,
        views,
    };
    let packed = rmp_serde::to_vec_named(&plain).expect("encodes");
    let mut operations: Vec<Contender<'_>> = vec![
        Contender::new("rmp_serde_encode", || {
            black_box(rmp_serde::to_vec_named(black_box(&plain)).expect("encodes"));
        }),
        Contender::new("rmp_serde_decode", || {
            black_box(rmp_serde::from_slice::<Plain>(black_box(&packed)).expect("decodes"));
        }),
        Contender::new("encode", || {
            black_box(black_box(&record).encode(&key));
        }),
        Contender::new("decode", || {
            black_box(Record::decode(&key, black_box(bytes.clone())).expect("decodes"));
        }),
        Contender::new("decode_all_fields", || {
            black_box(visit::decode(black_box(&record)));
        }),
        Contender::new("generate", || {
            black_box(SessionToken::generate().expect("a token"));
        }),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let (length, plain) = (bytes.len(), packed.len());
            let title = format!("a record of {length} bytes; {plain} as one struct");
            compare(&title, 200, 2_000, operations);
        }
        [operation, times] => {
            let chosen = operations.iter_mut().find(|known| known.name == operation);
            let chosen = chosen.expect("an operation");
            for _ in 0..times.parse().expect("a number") {
                (chosen.once)();
            }
        }
        _ => panic!("usage: records [<operation> <times>]"),
    }
}
