//! The front desk: how everybody but the conductor speaks to the lab.

use std::sync::Arc;

use api::Accepted;
use lifecycle::{Lab, Refusal, Request};
use model::{Fact, Moment, NodeName, Waiting};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, oneshot};

use crate::publisher::Publisher;

/// Inputs that may wait for the conductor; more make their senders wait.
pub const INPUTS_WAITING: usize = 1024;

/// The lab and what was decided about it last, lent to whoever asks a question.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is known.
    pub lab: &'a Lab,
    /// What each machine waits for.
    pub waits: &'a BTreeMap<NodeName, Waiting>,
    /// Now.
    pub now: Moment,
}

/// What is asked of the lab itself; it carries its answer to whoever asked.
pub struct Question(Box<dyn FnOnce(Look<'_>) + Send>);

impl Question {
    /// Lets it look.
    pub(crate) fn answer(self, look: Look<'_>) {
        (self.0)(look);
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question(..)")
    }
}

/// What reaches the conductor.
pub enum Input {
    /// Somebody asks for something.
    Ask {
        /// What.
        request: Request,
        /// Where the answer goes, once it is safe on disk.
        answer: oneshot::Sender<Result<Accepted, DeskError>>,
    },
    /// Somebody wants to know something the picture does not show.
    Look(Question),
    /// Something happened now.
    Fact(Box<Fact>),
    /// Something happened at a `CLOCK_BOOTTIME` of another process, in milliseconds.
    Stamped(Box<Fact>, u64),
    /// Write everything down and end.
    Close,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ask { request, .. } => f.debug_tuple("Ask").field(request).finish(),
            Self::Look(_) => f.write_str("Look(..)"),
            Self::Fact(fact) => f.debug_tuple("Fact").field(fact).finish(),
            Self::Close => f.write_str("Close"),
            Self::Stamped(fact, at) => f.debug_tuple("Stamped").field(fact).field(at).finish(),
        }
    }
}

/// Why a request got no yes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The answer is no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The answer was yes, but it could not be written down, so nothing was done.
    #[error("the request could not be written to the journal: {why}")]
    NotKept {
        /// What the system said.
        why: String,
    },
    /// The conductor has stopped.
    #[error("the controller is shutting down")]
    Closed,
}

/// A door to the conductor; cheap to copy.
#[derive(Debug, Clone)]
pub struct Desk {
    inputs: mpsc::Sender<Input>,
    publisher: Arc<Publisher>,
}

impl Desk {
    /// A desk in front of the conductor that reads the other end of `inputs`.
    #[must_use]
    pub fn new(inputs: mpsc::Sender<Input>, publisher: Arc<Publisher>) -> Self {
        Self { inputs, publisher }
    }

    /// The picture and the stream.
    #[must_use]
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.publisher
    }

    /// Asks for something and waits until the answer is safe on disk.
    ///
    /// # Errors
    /// [`DeskError`]; nothing was done.
    pub async fn ask(&self, request: Request) -> Result<Accepted, DeskError> {
        let (answer, answered) = oneshot::channel();
        self.inputs.send(Input::Ask { request, answer }).await.map_err(|_| DeskError::Closed)?;
        answered.await.map_err(|_| DeskError::Closed)?
    }

    /// Looks at the lab itself, after everything told before was thought through.
    ///
    /// # Errors
    /// [`DeskError::Closed`].
    pub async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(Look<'_>) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let (answer, answered) = oneshot::channel();
        let question = Question(Box::new(move |look| {
            // Whoever asked may have gone; then nobody misses the answer.
            drop(answer.send(question(look)));
        }));
        self.inputs.send(Input::Look(question)).await.map_err(|_| DeskError::Closed)?;
        answered.await.map_err(|_| DeskError::Closed)
    }

    /// Lets the conductor write everything down and end; later requests are answered by [`DeskError::Closed`].
    ///
    /// # Errors
    /// [`DeskError::Closed`]: it had ended already.
    pub async fn close(&self) -> Result<(), DeskError> {
        self.inputs.send(Input::Close).await.map_err(|_| DeskError::Closed)
    }

    /// Tells of something that happened now. Waits while the conductor is busy: facts are not dropped.
    ///
    /// # Errors
    /// [`DeskError::Closed`].
    pub async fn tell(&self, fact: Fact) -> Result<(), DeskError> {
        self.inputs.send(Input::Fact(Box::new(fact))).await.map_err(|_| DeskError::Closed)
    }

    /// Tells of something that happened at `boottime_ms` of `CLOCK_BOOTTIME`.
    ///
    /// # Errors
    /// [`DeskError::Closed`].
    pub async fn tell_stamped(&self, fact: Fact, boottime_ms: u64) -> Result<(), DeskError> {
        self.inputs.send(Input::Stamped(Box::new(fact), boottime_ms)).await.map_err(|_| DeskError::Closed)
    }
}
