//! What is shown of a configuration, and what is not.

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::config::expand::tests::Fixed;

const EXAMPLES: [&str; 4] = [
    include_str!("../../../config/minimal.yaml"),
    include_str!("../../../config/full.yaml"),
    include_str!("../../../config/legacy-rest-api.yaml"),
    include_str!("../../../config/dashboard-backend.yaml"),
];

fn parsed(text: &str) -> Config {
    match Config::parse(text, &Fixed) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

fn tree(config: &Config) -> Json {
    serde_json::from_str(config.shown().get()).unwrap()
}

#[test]
fn what_is_shown_means_the_same_as_the_file() {
    for text in EXAMPLES {
        let config = parsed(text);
        let again = parsed(&serde_yaml::to_string(&readable(tree(&config))).unwrap());
        let (told, again) = (format!("{config:#?}"), format!("{again:#?}"));
        // A body, which is hidden, has another length.
        let is_length = |line: &&str| ["28,", "3,"].contains(&line.trim());
        let lines = |text| str::lines(text).filter(|line| !is_length(line));
        for (line, other) in lines(&told).zip(lines(&again)) {
            assert_eq!(line, other);
        }
    }
}

/// The same with something in the place of hidden hashes and secrets that can stand there.
fn readable(mut tree: Json) -> Json {
    let stand_in = "0123456789abcdef".repeat(4);
    let readable = |hidden: &mut Json| match hidden {
        Json::String(text) => *text = text.replace(HIDDEN, &stand_in),
        Json::Array(items) => items.fill(stand_in.clone().into()),
        _ => {}
    };
    for (path, key) in [("/auth/keys", "sha256"), ("/auth/jwt", "secret")] {
        let named = tree.pointer_mut(path).and_then(Json::as_object_mut);
        for entry in named.into_iter().flat_map(|named| named.values_mut()) {
            entry.get_mut(key).map(readable);
        }
    }
    tree.pointer_mut("/auth/tickets/secret").map(readable);
    tree
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let readme = include_str!("../../../config/README.md");
    let (_, section) = readme.split_once("\n## Every key\n").unwrap();
    let (table, _) = section.split_once("\n## ").unwrap();
    let mut rows = 0;
    for line in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (key, rest) = line.split_once('`').unwrap();
        let default = rest
            .trim_start_matches([' ', '|'])
            .split('|')
            .next()
            .unwrap();
        let Some(default) = default.trim().strip_prefix('`') else {
            continue;
        };
        let (default, more) = default.split_once('`').unwrap();
        let derived = ["interval", "document.max_bytes", "/"].contains(&default)
            || [
                "feeds[].request.method",
                "feeds[].poll.interval",
                "feeds[].topics",
            ]
            .contains(&key)
            || key == "feeds[].document.items"
            || more.contains(" with ")
            || more.contains(" first of ");
        if derived {
            continue;
        }
        let (at, name) = key.rsplit_once('.').unwrap_or(("", key));
        let known = DEFAULTS.get(at).and_then(|section| section.get(name));
        let wanted = serde_yaml::from_str(default).unwrap_or(Value::from(default));
        let same = known == Some(&wanted);
        assert!(
            same,
            "src/config/shown/defaults.yaml lacks `{key}: {default}`: {known:?}"
        );
        rows += 1;
    }
    assert!(rows > 60, "{rows}");
}

#[test]
fn three_lines_are_shown_with_everything_that_they_stand_for() {
    let config =
        parsed("upstreams: {shop: {url: 'http://shop'}}\nfeeds: [{path: /orders, upstream: shop}]");
    let shown = tree(&config);
    assert_eq!(shown["server"]["listen"], "127.0.0.1:8080");
    assert_eq!(shown["feeds"][0]["request"]["path"], "/orders");
    assert_eq!(shown["feeds"][0]["poll"]["interval"], "2s");
    assert_eq!(shown["feeds"][0]["events"]["mode"], "patch");
    assert_eq!(shown["feeds"][0]["deliver"]["cors"]["origins"], json!([]));
    assert_eq!(shown["feeds"][0]["topics"], Json::Null);
    assert_eq!(
        shown["proxy"],
        json!([{"path": "/", "upstream": "shop", "access": "everyone", "forward_credentials": false,
            "headers": {}, "preserve_host": false}])
    );
}

#[test]
fn what_may_be_secret_is_hidden_wherever_it_stands() {
    let config = parsed(
        "upstreams:
  shop:
    url: 'http://${HOST}'
    headers: { authorization: Bearer hush, x-key: 'a ${TOKEN} b', x-default: '${UNSET:-hush}' }
    egress_proxy: 'http://user:hush@proxy:3128'
  bank:
    url: 'http://bank'
    credentials: { basic: { username: hush, password: hush } }
feeds:
  - path: /orders
    upstream: shop
    request:
      method: POST
      query: { key: hush, region: [hush, '${TOKEN}'], page: 7 }
      headers: { x-key: hush$$ }
      body: { hush: hush }
  - { path: /bank, upstream: bank }
proxy: [{ path: /, upstream: shop, headers: { x-key: hush } }]",
    );
    let shown = tree(&config);
    assert!(!shown.to_string().contains("hush"), "{shown:#}");
    assert_eq!(
        shown["upstreams"]["shop"]["headers"],
        json!({"authorization": "***", "x-key": "***${TOKEN}***", "x-default": "${UNSET:-***}"})
    );
    assert_eq!(shown["upstreams"]["shop"]["url"], "http://${HOST}");
    assert_eq!(
        shown["upstreams"]["shop"]["egress_proxy"],
        "http://***@proxy:3128"
    );
    assert_eq!(
        shown["feeds"][0]["request"]["query"],
        json!({"key": "***", "region": ["***", "${TOKEN}"], "page": "***"})
    );
    assert_eq!(shown["feeds"][0]["request"]["body"], "***");
}

#[test]
fn what_comes_from_the_command_line_is_shown_as_a_file_would_say_it() {
    let (config, _) = Config::quick("http://shop", &["/a$b".to_owned()]).unwrap();
    assert_eq!(tree(&config)["feeds"][0]["path"], "/a$$b");
    assert_eq!(tree(&config)["upstreams"]["upstream"]["url"], "http://shop");
}

#[test]
fn urls_lose_user_and_query() {
    for (text, shown) in [
        ("http://shop/a", "http://shop/a"),
        ("http://u:p@shop", "http://***@shop"),
        ("http://${U}:${P}@shop", "http://${U}***${P}@shop"),
        ("${A:-http://u:p@shop}", "***@shop}"),
        ("https://id/token?key=k", "https://id/token?***"),
        (
            "https://id/token?key=${TOKEN}",
            "https://id/token?***${TOKEN}",
        ),
    ] {
        assert_eq!(without_user(text), shown);
    }
}

/// Whether text shows that stands at this key, alone, in a list or under a name: a URL with its user
/// and query, and any other.
fn is_clear(at: &str) -> bool {
    ["hush", "http://u:hush@host/?hush"]
        .into_iter()
        .all(|text| {
            let text = Value::from(text);
            let named = Mapping::from_iter([("name".into(), text.clone())]);
            let shapes = [text.clone(), Value::Sequence(vec![text]), named.into()];
            let mut shown = shapes.iter().map(|value| place(value, at).to_string());
            shown.any(|shown| shown.contains("hush"))
        })
}

#[test]
fn whoever_adds_a_key_says_whether_it_may_be_shown() {
    let is_section = |at: &String| {
        let forms = ["", "[]", ".NAME"].map(|end| format!("{at}{end}"));
        ALL.iter().any(|keys| forms.contains(&keys.at.to_owned()))
    };
    let keys = ALL.iter().flat_map(|keys| {
        let above = match keys.at {
            "" => String::new(),
            above => format!("{above}."),
        };
        keys.known.iter().map(move |key| format!("{above}{key}"))
    });
    let clear: Vec<_> = keys.filter(|at| !is_section(at) && is_clear(at)).collect();
    let said: Vec<_> = include_str!("clear.txt").lines().collect();
    for at in &clear {
        assert!(
            said.contains(&at.as_str()),
            "`{at}` is shown as it is written: if a secret may stand there, name it in SECRET or URLS of \
             src/config/shown/mod.rs, else in src/config/shown/clear.txt"
        );
    }
    for at in said {
        let is_shown = clear.iter().any(|it| it == at);
        assert!(
            is_shown,
            "there is no `{at}`, or it is not shown as it is written"
        );
    }
}
