//! Spans by OpenTelemetry's SDK, which sends them in batches from a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{self, Sampler, SdkTracer, SdkTracerProvider};

use super::sender::Sender;
use super::{Side, TracesError};
use crate::config::{Traces, below};
use crate::core::trace::Parent;

/// How long one batch may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Begins spans, if the configuration wants any.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// One operation. It ends when this is dropped.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Operation>>);

#[derive(Debug)]
struct Operation {
    span: trace::Span,
    /// What it is called as a parent.
    own: Parent,
}

impl Tracer {
    /// Starts the thread that sends spans, if they are wanted. To be called inside a runtime.
    ///
    /// # Errors
    /// If no client for the collector can be made.
    pub fn start(config: Option<&Traces>) -> Result<Self, TracesError> {
        let Some(config) = config else {
            return Ok(Self(None));
        };
        let refuse = |cause: String| TracesError {
            endpoint: config.endpoint.to_string(),
            cause,
        };
        let sender = Sender::new(config, TIMEOUT).map_err(|error| refuse(error.to_string()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(below(&config.endpoint, "/v1/traces", &[]))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let of_our_own = Sampler::TraceIdRatioBased(config.sample);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(of_our_own)))
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("pollcast");
        Ok(Self(Some(Arc::new(Recorder { provider, tracer }))))
    }

    /// Begins an operation, of its parent's trace or of a new one.
    pub fn span(&self, side: Side, parent: Option<Parent>) -> Span {
        let Some(recorder) = &self.0 else {
            return Span(None);
        };
        let kind = match side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        };
        let context = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(remote(parent))
        });
        let builder = SpanBuilder::from_name("request").with_kind(kind);
        let span = recorder.tracer.build_with_context(builder, &context);
        let own = own(span.span_context(), parent);
        Span(own.map(|own| Box::new(Operation { span, own })))
    }

    /// Sends what is left, for at most so long. Blocks.
    pub fn finish(&self, patience: Duration) {
        if let Some(recorder) = &self.0 {
            // What could not be sent is dropped; the sender has told why.
            let _ = recorder.provider.shutdown_with_timeout(patience);
        }
    }
}

fn remote(parent: Parent) -> SpanContext {
    SpanContext::new(
        TraceId::from(parent.trace()),
        SpanId::from(parent.operation()),
        TraceFlags::new(parent.flags()),
        true,
        TraceState::NONE,
    )
}

/// An operation as a parent. Whether the trace's id is random is known of one that begins here, and
/// stays as its parent said of any other (Trace Context, "Random Trace ID Flag").
fn own(context: &SpanContext, parent: Option<Parent>) -> Option<Parent> {
    let random = parent.map_or(Parent::RANDOM, |parent| parent.flags() & Parent::RANDOM);
    let sampled = u8::from(context.is_sampled()) * Parent::SAMPLED;
    Parent::new(
        u128::from_be_bytes(context.trace_id().to_bytes()),
        u64::from_be_bytes(context.span_id().to_bytes()),
        random | sampled,
    )
}

impl Span {
    /// What it is called as a parent.
    pub fn operation(&self) -> Option<Parent> {
        self.0.as_ref().map(|operation| operation.own)
    }

    /// Whether anybody will see it.
    pub fn is_recorded(&self) -> bool {
        let operation = self.0.as_ref();
        operation.is_some_and(|operation| operation.span.is_recording())
    }

    /// Gives it a name of which there are few.
    pub fn name(&mut self, name: String) {
        if let Some(operation) = &mut self.0 {
            operation.span.update_name(name);
        }
    }

    /// Says something of it.
    pub fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.set(KeyValue::new(key, value.into()));
    }

    /// Says a number of it.
    pub fn number(&mut self, key: &'static str, value: impl Into<i64>) {
        self.set(KeyValue::new(key, value.into()));
    }

    /// Says that it failed, in a word.
    pub fn failed(&mut self, why: &str) {
        self.text("error.type", why);
        if let Some(operation) = &mut self.0 {
            operation.span.set_status(Status::error(why.to_owned()));
        }
    }

    fn set(&mut self, attribute: KeyValue) {
        if let Some(operation) = &mut self.0 {
            operation.span.set_attribute(attribute);
        }
    }
}
