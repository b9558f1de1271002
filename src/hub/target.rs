//! What is sent upstream for one topic.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use url::form_urlencoded;

use super::key::Particulars;
use crate::config::Feed;

/// The request of one topic's polls, made once. Neither its body nor its query is shown, and its
/// headers are marked sensitive.
#[derive(Clone)]
pub struct Target {
    /// GET or POST.
    pub method: Method,
    /// Percent-encoded, begins with `/`, below the upstream's URL.
    pub path: String,
    /// Names and values, not encoded.
    pub query: Vec<(String, String)>,
    /// All that are sent, but for those of the exchange itself.
    pub headers: HeaderMap,
    /// With POST only.
    pub body: Option<Bytes>,
}

impl Target {
    /// The feed's request with the particulars of one topic put in: captures into path and query,
    /// each encoded anew; then the forwarded query; credentials in the place of configured headers
    /// of the same name.
    pub(super) fn new(feed: &Feed, particulars: &Particulars) -> Self {
        let captures = &particulars.captures;
        let request = &feed.request;
        let mut query: Vec<_> = request
            .query
            .iter()
            .map(|(name, value)| (name.clone(), value.text(captures)))
            .collect();
        query.extend(particulars.query.iter().cloned());
        let mut headers = request.headers.clone();
        if let Some(parameters) = &feed.parameters {
            let names = &parameters.credentials;
            particulars.credentials.overlay(names, &mut headers);
        }
        let (method, body) = match &particulars.body {
            Some(body) => {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                (Method::POST, Some(body.clone()))
            }
            None => (request.method.clone(), request.body.clone()),
        };
        Self {
            method,
            path: request.path.path(captures),
            query,
            headers,
            body,
        }
    }

    /// The same request, with the headers that the feed sends now; what a client sent stays.
    pub(super) fn again(&self, feed: &Feed) -> Self {
        let mut headers = feed.request.headers.clone();
        let parameters = feed.parameters.as_ref();
        let of_clients = parameters.map_or(&[][..], |it| &it.credentials);
        let of_body = (feed.takes_body() && self.body.is_some()).then_some(&header::CONTENT_TYPE);
        for name in of_clients.iter().chain(of_body) {
            headers.remove(name);
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        Self {
            headers,
            ..self.clone()
        }
    }
}

/// What a client asks for to get the topic with these particulars: the feed's path with its
/// captures put in, and the forwarded query.
pub(super) fn name(feed: &Feed, particulars: &Particulars) -> String {
    let Some(parameters) = &feed.parameters else {
        return feed.path.clone();
    };
    let mut name = parameters.path.path(&particulars.captures);
    if !particulars.query.is_empty() {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&particulars.query);
        name.push('?');
        name.push_str(&query.finish());
    }
    name
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};
    use crate::hub::Credentials;

    #[test]
    fn a_target_is_the_feeds_request_with_the_particulars_put_in() {
        let text = "upstreams: {a: {url: 'http://a/base', headers: {authorization: up, x-a: up}}}\n\
                    feeds: [{path: '/o/{id}', upstream: a, \
                    request: {path: '/i/{id}/x', query: {q: 'id={id}'}, forward_query: [p], \
                    client_body: {}}, share: {per_credential: [authorization]}}]";
        let (config, _) = Config::parse(text, &System::new("")).unwrap();
        let feed = &config.feeds[0];
        let mut asked = HeaderMap::new();
        asked.insert(header::AUTHORIZATION, HeaderValue::from_static("s3cret"));
        let names = &feed.parameters.as_ref().unwrap().credentials;
        let particulars = Particulars {
            captures: vec!["../a?b&c".to_owned()],
            query: vec![("p".to_owned(), "1&q=2".to_owned())],
            body: Some(Bytes::from_static(b"{\"s3cret\":1}")),
            credentials: Credentials::of(names, &asked),
        };
        let target = Target::new(feed, &particulars);
        let url = "http://a/base/i/..%2Fa%3Fb%26c/x?q=id%3D..%2Fa%3Fb%26c&p=1%26q%3D2";
        let asked = crate::config::below(&feed.upstream.url, &target.path, &target.query);
        assert_eq!(asked.as_str(), url);
        assert_eq!(target.method, Method::POST);
        assert_eq!(target.headers[header::AUTHORIZATION], "s3cret");
        assert_eq!(target.headers["x-a"], "up");
        assert_eq!(target.headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(name(feed, &particulars), "/o/..%2Fa%3Fb%26c?p=1%26q%3D2");
        let shown = format!("{target:?} {:?}", target.headers);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
