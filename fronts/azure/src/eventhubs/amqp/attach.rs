//! How a connection's links come to be: the address says what is asked for, the claims whether it is allowed.

use millstream_amqp::codec::performative::{Attach, Role, Source, Target};
use millstream_amqp::{Accepted, AmqpError, LinkId, Value, condition};
use millstream_namespace::{Right, Token, token};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answers::Answers;
use super::connection::{Client, Link};
use super::ingress::{Ingress, NUMBERING};
use super::receiver::Receiver;
use super::request::Node;
use crate::eventhubs::address::{self, Address};
use crate::eventhubs::{MESSAGE_BYTES_MAX, error};

/// Links that read, on one connection: each holds some events.
const RECEIVERS_MAX: usize = 256;

/// Links to nodes, on one connection: they need no token, and clients have two for each node.
const NODE_LINKS_MAX: usize = 64;

/// Requests that may wait on a link to a node.
const REQUEST_CREDIT: u32 = 100;

/// Bytes of a request.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// Milliseconds that the service says an operation may take.
const TIMEOUT_MS: i64 = 65_000;

/// Seconds that a key given at the beginning of a connection holds: clients cannot give it again.
const PLAIN_SECONDS: i64 = 10 * 365 * 24 * 3_600;

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Takes a link that the client asks for.
    ///
    /// # Errors
    /// What the client is refused with.
    pub async fn attach(&mut self, id: LinkId, attach: &Attach) -> Result<(), AmqpError> {
        let target = Target::decode(attach.target.clone())?.address;
        let source = Source::decode(attach.source.clone())?.address;
        let text = match attach.role {
            Role::Sender => target.clone(),
            Role::Receiver => source,
        };
        let text = text.ok_or_else(|| AmqpError::new(condition::INVALID_FIELD, "expected an address"))?.to_string();
        if let Some(node) = Node::of(&text) {
            return self.attach_node(id, attach, node, target.map(|target| target.to_string()));
        }
        let path: Vec<&str> = address::path(&text);
        let address = address::parse(&path).ok_or_else(|| error::not_found(&text))?;
        let (right, name) = match attach.role {
            Role::Sender => (Right::Send, "Send"),
            Role::Receiver => (Right::Listen, "Listen"),
        };
        if !self.claims.allow(right, &path, self.hubs.clock.now()) {
            return Err(error::unauthorized(name, &text));
        }
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        match attach.role {
            Role::Sender => self.attach_ingress(id, attach, (&address, &text), path).await,
            Role::Receiver => self.attach_receiver(id, attach, &address, &text, path).await,
        }
    }

    fn attach_node(
        &mut self,
        id: LinkId,
        attach: &Attach,
        node: Node,
        target: Option<String>,
    ) -> Result<(), AmqpError> {
        let links = self.links.values().filter(|link| matches!(link, Link::Request(_) | Link::Answers(_))).count();
        if links >= NODE_LINKS_MAX {
            let text = format!("expected at most {NODE_LINKS_MAX} links to nodes on a connection");
            return Err(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
        }
        let link = match attach.role {
            Role::Sender => Link::Request(node),
            Role::Receiver => {
                let names = target.into_iter().chain([attach.name.to_string()]).collect();
                Link::Answers(Answers::new(node, names))
            }
        };
        self.links.insert(id, link);
        let accepted = Accepted {
            snd_settle_mode: 0,
            message_bytes_max: REQUEST_BYTES_MAX,
            credit: REQUEST_CREDIT,
            capabilities: Vec::new(),
            properties: Value::Null,
        };
        self.wire.connection().accept(id, accepted);
        Ok(())
    }

    async fn attach_ingress(
        &mut self,
        id: LinkId,
        attach: &Attach,
        address: (&Address, &str),
        path: Vec<String>,
    ) -> Result<(), AmqpError> {
        let ingress = Ingress::open(&self.hubs, &self.namespace, address, attach).await?;
        let told = ingress.told();
        let capabilities = if told.is_empty() { Vec::new() } else { vec![NUMBERING.into()] };
        let accepted = Accepted { credit: ingress.credit(), capabilities, ..self.accepted(0, told) };
        self.links.insert(id, Link::Ingress(ingress, path));
        self.wire.connection().accept(id, accepted);
        Ok(())
    }

    async fn attach_receiver(
        &mut self,
        id: LinkId,
        attach: &Attach,
        address: &Address,
        text: &str,
        path: Vec<String>,
    ) -> Result<(), AmqpError> {
        let receivers = self.links.values().filter(|link| matches!(link, Link::Receiver(..))).count();
        if receivers >= RECEIVERS_MAX {
            let text = format!("expected at most {RECEIVERS_MAX} receivers on a connection");
            return Err(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
        }
        let receiver = Receiver::open(&self.hubs, &self.namespace, (address, text), attach, &self.wake).await?;
        let accepted = self.accepted(1, Vec::new());
        self.links.insert(id, Link::Receiver(Box::new(receiver), path));
        self.wire.connection().accept(id, accepted);
        Ok(())
    }

    /// `told`: what the peer is told besides what all are.
    fn accepted(&self, snd_settle_mode: u8, mut told: Vec<(Value, Value)>) -> Accepted {
        told.extend([
            (Value::symbol("com.microsoft:timeout"), Value::Long(TIMEOUT_MS)),
            (Value::symbol("com.microsoft:tracking-id"), Value::string(format!("{}_G0", self.id))),
        ]);
        let properties = Value::Map(told);
        let message_bytes_max = MESSAGE_BYTES_MAX as u64;
        Accepted { snd_settle_mode, message_bytes_max, credit: 0, capabilities: Vec::new(), properties }
    }

    /// A policy's name and key instead of a token, as clients of other makers prove themselves.
    pub fn take_key(&mut self, response: &[u8]) {
        let mut fields = response.split(|byte| *byte == 0).skip(1).map(String::from_utf8_lossy);
        let (Some(policy), Some(key)) = (fields.next(), fields.next()) else { return };
        let expiry = (self.hubs.clock.now() / 1_000 + PLAIN_SECONDS).to_string();
        let Some(signature) = token::signature(&key, "", &expiry) else { return };
        let token = Token { resource: String::new(), path: Vec::new(), expiry, signature, policy: policy.into_owned() };
        if let Ok(claims) = self.hubs.namespaces.verify(&self.namespace, &token) {
            self.claims.put(claims, self.hubs.clock.now());
        }
    }
}
