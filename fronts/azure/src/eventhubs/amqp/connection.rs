//! One connection: links to hubs, partitions and the nodes that answer, over the AMQP engine.
//!
//! Deliveries of one burst are committed together, and those that come meanwhile with the next commit. While more waits
//! than [`STAGED_BYTES_MAX`], nothing more is read from the client.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_amqp::{AmqpError, Delivery, Event, LinkId, Options, Wire, condition};
use millstream_namespace::{DEFAULT_NAMESPACE, Right};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, interval_at};

use super::answers::Answers;
use super::claims::ClaimSet;
use super::ingress::Ingress;
use super::listener::stop;
use super::receiver::Receiver;
use super::request::{Node, Request};
use crate::eventhubs::ingest::{Ingest, NotTaken};
use crate::eventhubs::{EventHubs, error};

/// Bytes of events that wait for a commit before nothing more is read from a client.
const STAGED_BYTES_MAX: usize = 4 << 20;

/// How often links are looked at: a token may be over or a hub gone.
const LOOK: Duration = Duration::from_secs(2);

const OPTIONS: Options = Options {
    container_id: String::new(),
    mechanisms: &["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"],
    welcome: b"Welcome!",
    frame_bytes_max: 64 << 10,
    channel_max: 4_999,
    handle_max: 255,
    links_max: 5_000,
    incoming_window: 5_000,
    partial_bytes_max: 16 << 20,
    handshake_ms: 30_000,
    idle_ms: 120_000,
};

/// Serves a connection until either side ends it or the node stops.
pub async fn serve<S>(hubs: EventHubs, stream: S, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let id = uuid::Uuid::new_v4().simple().to_string();
    let options = Options { container_id: format!("{id}_G0"), ..OPTIONS };
    let mut client = Client {
        hubs,
        id,
        wire: Wire::new(stream, options),
        namespace: DEFAULT_NAMESPACE.to_owned(),
        claims: ClaimSet::default(),
        links: BTreeMap::new(),
        staged: Ingest::default(),
        waiting: Vec::new(),
        commit: None,
        wake: Arc::new(Notify::new()),
        look: interval_at(Instant::now() + LOOK, LOOK),
    };
    while client.turn(&mut stopped).await {}
    client.wire.finish().await;
}

/// What a link is for.
pub enum Link {
    /// Requests to a node come on it.
    Request(Node),
    /// A node's answers go out on it.
    Answers(Answers),
    /// Events come on it.
    Ingress(Ingress, Vec<String>),
    /// Events go out on it.
    Receiver(Box<Receiver>, Vec<String>),
}

/// A delivery whose events are not durable yet.
struct Waiting {
    link: LinkId,
    id: u32,
    settled: bool,
    /// Their place among the outcomes of the commit.
    place: usize,
}

type Outcomes = Vec<Result<(), NotTaken>>;

type Commit = Pin<Box<dyn Future<Output = (Vec<Waiting>, Outcomes)> + Send>>;

/// A client, from this side.
pub struct Client<S> {
    pub hubs: EventHubs,
    pub id: String,
    pub wire: Wire<S>,
    pub namespace: String,
    pub claims: ClaimSet,
    pub links: BTreeMap<LinkId, Link>,
    staged: Ingest,
    waiting: Vec<Waiting>,
    commit: Option<Commit>,
    pub wake: Arc<Notify>,
    /// When links are looked at again.
    look: Interval,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Acts on what came, sends what is there and waits for more; `false` when the connection is over.
    async fn turn(&mut self, stopped: &mut watch::Receiver<bool>) -> bool {
        while self.staged.bytes() < STAGED_BYTES_MAX
            && let Some(event) = self.wire.next_event()
        {
            self.act(event).await;
        }
        self.begin_commit();
        self.pump().await;
        if self.wire.connection().is_closed() {
            return false;
        }
        let read = self.staged.bytes() < STAGED_BYTES_MAX;
        let wake = Arc::clone(&self.wake);
        tokio::select! {
            moved = self.wire.progress(read) => return moved.is_ok(),
            (waiting, outcomes) = committed(&mut self.commit) => self.committed(waiting, &outcomes),
            () = wake.notified() => {}
            _ = self.look.tick() => self.end_unproved(),
            () = stop(stopped) => {
                let error = AmqpError::new(condition::CONNECTION_FORCED, "the node is stopping");
                self.wire.connection().close(Some(error));
                return false;
            }
        }
        true
    }

    async fn act(&mut self, event: Event) {
        match event {
            Event::Opened { hostname, security } => {
                let host = hostname.as_ref().map_or("", |host| host.as_str());
                self.namespace = self.hubs.namespaces.of_host(host);
                if let Some((mechanism, response)) = security
                    && mechanism == "PLAIN"
                {
                    self.take_key(&response);
                }
            }
            Event::Attach(id, attach) => {
                if let Err(error) = self.attach(id, &attach).await {
                    self.wire.connection().refuse(id, error);
                }
            }
            Event::Delivery(delivery) => self.deliver(delivery),
            Event::Credit(id) => self.send_answers(id),
            Event::Detached(id) => drop(self.links.remove(&id)),
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let (link, id, settled) = (delivery.link, delivery.id, delivery.settled);
        match self.links.get(&link) {
            Some(Link::Request(node)) => {
                let node = *node;
                match Request::decode(delivery.message) {
                    Ok(request) => {
                        self.wire.connection().settle(link, id, settled, None);
                        let answer = request.answer(node, &self.hubs, &self.namespace, &mut self.claims);
                        self.answer(link.channel, node, request.reply_to.as_deref(), answer);
                    }
                    Err(error) => self.wire.connection().settle(link, id, settled, Some(error.into())),
                }
            }
            Some(Link::Ingress(ingress, _)) => match ingress.take(&self.hubs, &delivery, &mut self.staged) {
                Ok(place) => self.waiting.push(Waiting { link, id, settled, place }),
                Err(error) => self.wire.connection().settle(link, id, settled, Some(error)),
            },
            Some(Link::Answers(_) | Link::Receiver(..)) | None => {}
        }
    }

    /// Hands an answer to the link that the request named, else to the node's only one in the session.
    fn answer(&mut self, channel: u16, node: Node, reply_to: Option<&str>, answer: Bytes) {
        let answers = self.links.iter().filter_map(|(id, link)| match link {
            Link::Answers(answers) if id.channel == channel && answers.node == node => Some((*id, answers)),
            _ => None,
        });
        let named = |answers: &Answers| reply_to.is_some_and(|name| answers.names.iter().any(|own| own == name));
        let chosen = answers.max_by_key(|(_, answers)| named(answers)).map(|(id, _)| id);
        let Some(id) = chosen else { return };
        if let Some(Link::Answers(answers)) = self.links.get_mut(&id)
            && !answers.keep(answer)
        {
            let text = "expected credit for the answers that wait on this link";
            self.wire.connection().detach(id, Some(AmqpError::new(condition::RESOURCE_LIMIT_EXCEEDED, text)));
            self.links.remove(&id);
        }
        self.send_answers(id);
    }

    fn send_answers(&mut self, id: LinkId) {
        let Some(Link::Answers(answers)) = self.links.get_mut(&id) else { return };
        while let Some(answer) = answers.first() {
            if !self.wire.connection().send(id, &[answer]) {
                return;
            }
            answers.sent();
        }
        self.wire.connection().drained(id);
    }

    /// Begins to make durable what waits, unless a commit is under way.
    fn begin_commit(&mut self) {
        if self.commit.is_some() || self.waiting.is_empty() {
            return;
        }
        let (staged, waiting) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.waiting));
        let (hubs, id) = (self.hubs.clone(), self.id.clone());
        self.commit = Some(Box::pin(async move {
            let outcomes = staged.commit(&hubs, &id).await;
            (waiting, outcomes)
        }));
    }

    fn committed(&mut self, waiting: Vec<Waiting>, outcomes: &[Result<(), NotTaken>]) {
        self.commit = None;
        for Waiting { link, id, settled, place } in waiting {
            let refused = match &outcomes[place] {
                Ok(()) => None,
                Err(NotTaken::Stream(error)) => Some(error::not_taken(error)),
                Err(NotTaken::Numbers(error)) => error::not_next(error),
            };
            self.wire.connection().settle(link, id, settled, refused);
        }
    }

    /// Sends events on all links that read, and ends those whose place another reader took.
    async fn pump(&mut self) {
        let mut ended = Vec::new();
        for (id, link) in &mut self.links {
            let Link::Receiver(receiver, _) = link else { continue };
            let connection = self.wire.connection();
            let outcome = match receiver.displaced() {
                Some(error) => Err(error),
                None => receiver.pump(&self.hubs, connection, *id).await,
            };
            if let Err(error) = outcome {
                connection.detach(*id, Some(error));
                ended.push(*id);
            }
        }
        for id in ended {
            self.links.remove(&id);
        }
    }

    /// Ends links whose tokens are over, or whose hub is gone.
    fn end_unproved(&mut self) {
        let ended: Vec<(LinkId, AmqpError)> =
            self.links.iter().filter_map(|(id, link)| Some((*id, self.unproved(link)?))).collect();
        for (id, error) in ended {
            self.wire.connection().detach(id, Some(error));
            self.links.remove(&id);
        }
    }

    /// Why a link has to end, if it has to.
    fn unproved(&self, link: &Link) -> Option<AmqpError> {
        let (right, path) = match link {
            Link::Ingress(_, path) => (Right::Send, path),
            Link::Receiver(_, path) => (Right::Listen, path),
            Link::Request(_) | Link::Answers(_) => return None,
        };
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        if !self.claims.allow(right, &segments, self.hubs.clock.now()) {
            let text = format!("ExpiredToken: The token is expired. Resource: '{}'.", path.join("/"));
            return Some(AmqpError::new(condition::UNAUTHORIZED_ACCESS, text));
        }
        let hub = segments.first().copied().unwrap_or_default();
        self.hubs.namespaces.hub_or_stream(&self.namespace, hub).is_err().then(|| error::not_found(&path.join("/")))
    }
}

/// The end of the commit under way; never when there is none.
async fn committed(commit: &mut Option<Commit>) -> (Vec<Waiting>, Outcomes) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}
