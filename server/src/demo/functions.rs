//! The demos' functions as processes of their own: `millstream demo-function HANDLER`.
//!
//! They are clients like any other: they take invocations from the Lambda Runtime API and call the node's AWS protocols
//! with signed requests. Source: the Lambda Runtime API reference (`/2018-06-01/runtime/…`).

use std::env;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use millstream_aws::sigv4::{Credentials, sign};
use millstream_types::Clock;
use serde_json::{Value, json};

use super::{quotes, tweets};

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Answers invocations until the node ends the process or its runtime API is gone.
///
/// # Errors
/// When a variable that every function process has is missing, or the runtime API breaks.
pub async fn run(handler: &str, clock: &dyn Clock) -> Result<(), Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let function = DemoFunction {
        client: Client::builder(TokioExecutor::new()).build(connector),
        runtime: format!("http://{}/2018-06-01/runtime", variable("AWS_LAMBDA_RUNTIME_API")?),
        endpoint: variable("AWS_ENDPOINT_URL")?,
        region: variable("AWS_REGION")?,
        credentials: Credentials {
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret: variable("AWS_SECRET_ACCESS_KEY")?,
            session_token: env::var("AWS_SESSION_TOKEN").ok(),
        },
    };
    loop {
        let next = function.client.get(format!("{}/invocation/next", function.runtime).parse()?).await?;
        let invocation = Invocation::from(&next)?;
        let event = next.into_body().collect().await?.to_bytes();
        let outcome = match handler {
            "post-transaction" => function.post_transaction(&invocation, event, clock).await,
            "save-share-change" => function.save_share_change(&invocation, &event, clock).await,
            "announce" => announce(&event),
            "decode-tweets" => tweets::functions::decode(&function, &invocation, &event, clock).await,
            "save-tweets" => tweets::functions::save(&function, &invocation, &event, clock).await,
            "save-tweets-fixed" => tweets::functions::save_fixed(&function, &invocation, &event, clock).await,
            "quotes" => Ok(serde_json::from_slice(&event).map(|event| quotes::answer(&event))?),
            other => Err(format!("there is no handler {other} in this binary").into()),
        };
        function.answer(&invocation, outcome).await?;
    }
}

pub(super) fn variable(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| format!("the variable {name} is missing: this runs as a function of a node").into())
}

/// Prints what it gets, a row or an event a line.
fn announce(event: &[u8]) -> Result<Value, Error> {
    match serde_json::from_slice(event)? {
        Value::Array(rows) => rows.iter().for_each(|row| println!("{row}")),
        other => println!("{other}"),
    }
    Ok(Value::Null)
}

/// What the runtime API says of an invocation.
pub(super) struct Invocation {
    id: String,
    trace: String,
}

impl Invocation {
    fn from<B>(response: &Response<B>) -> Result<Self, Error> {
        let header = |name: &str| -> Result<String, Error> {
            Ok(response.headers().get(name).map(|value| value.to_str()).transpose()?.unwrap_or_default().to_owned())
        };
        Ok(Self { id: header("lambda-runtime-aws-request-id")?, trace: header("lambda-runtime-trace-id")? })
    }
}

pub(super) struct DemoFunction {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: String,
    endpoint: String,
    region: String,
    credentials: Credentials,
}

impl DemoFunction {
    /// Puts the request's body, one trade, into the delivery stream.
    async fn post_transaction(&self, invocation: &Invocation, event: Bytes, clock: &dyn Clock) -> Result<Value, Error> {
        let trade: Value = serde_json::from_slice(&event)?;
        let missing = ["symbol", "price", "shares"].into_iter().find(|field| trade.get(field).is_none());
        if let Some(field) = missing {
            return Err(format!("a trade needs the field `{field}`").into());
        }
        let mut line = event.to_vec();
        line.push(b'\n');
        let request = json!({
            "DeliveryStreamName": variable("DELIVERY_STREAM")?,
            "Record": { "Data": STANDARD.encode(line) },
        });
        let answer = self.call(invocation, "firehose", "Firehose_20150804.PutRecord", &request, clock).await?;
        Ok(json!({ "recordId": answer.get("RecordId") }))
    }

    /// Writes each row of a query's output as an item. Of records it says for each whether it was written; of plain rows it
    /// takes all or fails.
    async fn save_share_change(
        &self,
        invocation: &Invocation,
        event: &[u8],
        clock: &dyn Clock,
    ) -> Result<Value, Error> {
        let event: Value = serde_json::from_slice(event)?;
        if let Some(rows) = event.as_array() {
            for row in rows {
                self.save_row(invocation, row, clock).await?;
            }
            println!("wrote {} rows", rows.len());
            return Ok(Value::Null);
        }
        let records = event.get("records").and_then(Value::as_array).ok_or("the event has no records")?;
        let mut results = Vec::with_capacity(records.len());
        for record in records {
            let id = record.get("recordId").and_then(Value::as_str).unwrap_or_default();
            let written = self.save_record(invocation, record, clock).await;
            if let Err(error) = &written {
                println!("record {id}: {error}");
            }
            results.push(json!({ "recordId": id, "result": if written.is_ok() { "Ok" } else { "DeliveryFailed" } }));
        }
        println!("wrote {} rows", records.len());
        Ok(json!({ "records": results }))
    }

    async fn save_record(&self, invocation: &Invocation, record: &Value, clock: &dyn Clock) -> Result<(), Error> {
        let data = record.get("data").and_then(Value::as_str).ok_or("a record without data")?;
        self.save_row(invocation, &serde_json::from_slice(&STANDARD.decode(data)?)?, clock).await
    }

    async fn save_row(&self, invocation: &Invocation, row: &Value, clock: &dyn Clock) -> Result<(), Error> {
        let text = |column: &str| {
            row.get(column)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| format!("a row without `{column}`"))
        };
        let change = row.get("shareChange").and_then(Value::as_i64).ok_or("a row without `shareChange`")?;
        let request = json!({
            "TableName": variable("TABLE")?,
            "Item": {
                "timestamp": { "S": text("time")? },
                "symbol": { "S": text("symbol")? },
                "shareChange": { "N": change.to_string() },
            },
        });
        self.call(invocation, "dynamodb", "DynamoDB_20120810.PutItem", &request, clock).await?;
        Ok(())
    }

    /// A signed call of an AWS JSON protocol.
    pub(super) async fn call(
        &self,
        invocation: &Invocation,
        service: &str,
        target: &str,
        request: &Value,
        clock: &dyn Clock,
    ) -> Result<Value, Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(Bytes::from(serde_json::to_vec(request)?))?;
        let answer = self.send(invocation, service, target, request, clock).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Hands an event to another function and does not wait for what it does.
    pub(super) async fn invoke_later(
        &self,
        invocation: &Invocation,
        function: &str,
        event: &Value,
        clock: &dyn Clock,
    ) -> Result<(), Error> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint))
            .header("x-amz-invocation-type", "Event")
            .body(Bytes::from(serde_json::to_vec(event)?))?;
        self.send(invocation, "lambda", "Invoke", request, clock).await.map(drop)
    }

    /// Signs a request and sends it; `what` is what errors call it.
    async fn send(
        &self,
        invocation: &Invocation,
        service: &str,
        what: &str,
        mut request: Request<Bytes>,
        clock: &dyn Clock,
    ) -> Result<Bytes, Error> {
        request.headers_mut().insert("x-amzn-trace-id", invocation.trace.parse()?);
        sign(&mut request, &self.credentials, &self.region, service, clock.now())?;
        let response = self.client.request(request.map(Full::new)).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(answer);
        }
        Err(format!("{what} answered {status}: {}", String::from_utf8_lossy(&answer)).into())
    }

    async fn answer(&self, invocation: &Invocation, outcome: Result<Value, Error>) -> Result<(), Error> {
        let (end, document) = match outcome {
            Ok(document) => ("response", document),
            Err(error) => ("error", json!({ "errorMessage": error.to_string(), "errorType": "DemoFunctionError" })),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/invocation/{}/{end}", self.runtime, invocation.id))
            .body(Full::from(serde_json::to_vec(&document)?))?;
        self.client.request(request).await?.into_body().collect().await?;
        Ok(())
    }
}
