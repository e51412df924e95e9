//! Bodies packed with br and zstd, as servers send them to who offers to read them; and bombs of both.

use std::io::Read as _;

use soakwatch::outcome::Class;

use crate::support::fake::{Fake, Reply};
use crate::support::probing::{check, run, transport};

/// `{"orders": [1,1,1,...,1]}` with 5001 ones, by the reference implementation of brotli, and 64 MiB of zeros.
const BR: &[u8] = include_bytes!("../../fixtures/compressed/orders.json.br");
const BR_BOMB: &[u8] = include_bytes!("../../fixtures/compressed/zeros.br");

#[tokio::test]
async fn br_and_zstd_are_read_and_their_bombs_end_at_the_cap() {
    let text = format!(r#"{{"orders": [{}1]}}"#, "1,".repeat(5000));
    let zstd = zstd::stream::encode_all(text.as_bytes(), 3).unwrap();
    let bomb = zstd::stream::encode_all(std::io::repeat(0).take(64 << 20), 3).unwrap();
    // Looks back further than 8 MiB.
    let mut wide = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    wide.window_log(26).unwrap();
    std::io::Write::write_all(&mut wide, &vec![7; 1 << 20]).unwrap();
    let wide = wide.finish().unwrap();
    let fake = Fake::http(move |seen| {
        let (encoding, body) = match seen.target.as_str() {
            "/br" => ("br", BR.to_vec()),
            "/BR/cut" => ("BR", BR[..BR.len() - 3].to_vec()),
            "/br/bomb" => ("br", BR_BOMB.to_vec()),
            "/zstd" => ("zstd", zstd.clone()),
            "/zstd/cut" => ("zstd", zstd[..zstd.len() - 3].to_vec()),
            "/zstd/bomb" => ("zstd", bomb.clone()),
            "/zstd/wide" => ("zstd", wide.clone()),
            "/twice" => ("gzip, br", BR.to_vec()),
            _ => ("br", b"no brotli at all".to_vec()),
        };
        Reply::json("").header("content-encoding", encoding).body(body)
    })
    .await;
    let transport = transport(None);
    let at =
        |path: &str| check(&format!("url = \"{}\"\nexpect = {{ json = [{{ path = \"$.orders[5000]\", equals = 1 }}] }}", fake.url(path)));
    for path in ["/br", "/zstd"] {
        let ran = run(&transport, &at(path)).await;
        ran.passed();
        assert_eq!(ran.observed.body_bytes, Some(text.len() as u64));
    }
    assert_eq!(fake.log()[0].header("accept-encoding"), "gzip, deflate, br, zstd");
    for path in ["/br/bomb", "/zstd/bomb"] {
        run(&transport, &at(path)).await.failed(Class::Protocol, "larger than 1MiB (max_body)");
    }
    for path in ["/BR/cut", "/zstd/cut"] {
        run(&transport, &at(path)).await.failed(Class::Protocol, "ends too early");
    }
    for path in ["/zstd/wide", "/broken"] {
        run(&transport, &at(path)).await.failed(Class::Protocol, "can't be unpacked");
    }
    run(&transport, &at("/twice")).await.failed(Class::Protocol, "did not offer");
    // What is offered can be said, and what came be asked for.
    let asked = check(&format!(
        "url = \"{}\"\nheaders = {{ Accept-Encoding = \"br\" }}\nexpect = {{ headers = [{{ name = \"Content-Encoding\", equals = \"br\" }}] }}",
        fake.url("/br")
    ));
    run(&transport, &asked).await.passed();
    assert_eq!(fake.log().last().unwrap().header("accept-encoding"), "br");
}
