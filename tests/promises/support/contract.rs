//! What `/api/openapi.json` says of an answer, read by a validator that is not ours.

use serde_json::{Value, json};

use super::proxy::Proxy;

/// The description of the private listener.
pub struct Contract(Value);

impl Contract {
    /// As this pollcast tells it, taken at its word: what is not described must not be there.
    pub fn of(proxy: &Proxy) -> Self {
        let (status, text) = proxy.admin("/api/openapi.json");
        assert_eq!(status, 200);
        let mut contract = serde_json::from_str(&text).expect("JSON");
        close(&mut contract);
        Self(contract)
    }

    /// Every path.
    pub fn paths(&self) -> Vec<String> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths.keys().cloned().collect()
    }

    /// Checks an answer with this status.
    ///
    /// # Panics
    /// If it is not as described.
    pub fn check(&self, method: &str, path: &str, status: u16, answer: &Value) {
        let responses = &self.0["paths"][path][method]["responses"];
        let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path} {status} is not described"
        );
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let errors: Vec<_> = validator
            .iter_errors(answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{path}: {answer}");
    }
}

/// Objects with properties have no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
