//! Calls of gRPC: what each is named, what goes in and what comes out; how one is made, and how one is answered.
//!
//! The calls themselves are constants beside their messages in `proto/`, so that caller and simulated node share them.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::Message;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body as HttpBody, BoxStream, Bytes, Service, StdError, http};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// A call: its path, what goes in and what is answered, one message or a stream of them.
#[derive(Debug)]
pub struct Call<I, A>(&'static str, PhantomData<fn(I) -> A>);

/// A call that is answered by one message.
pub type Unary<I, O> = Call<I, O>;

/// A call that is answered by a stream of messages.
pub type Streamed<I, O> = Call<I, Streaming<O>>;

impl<I, A> Call<I, A> {
    /// The call at this path, `/package.Service/Method`.
    #[must_use]
    pub const fn new(path: &'static str) -> Self {
        Self(path, PhantomData)
    }

    /// Its name without the service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.rsplit('/').next().unwrap_or(self.0)
    }
}

/// Who makes calls over one connection.
#[derive(Debug)]
pub struct Caller<T>(Grpc<T>);

impl<T> Caller<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    /// Over this connection, to this origin; no message may be larger than `largest` bytes.
    pub fn new(connection: T, origin: http::Uri, largest: usize) -> Self {
        let grpc = Grpc::with_origin(connection, origin);
        Self(grpc.max_decoding_message_size(largest).max_encoding_message_size(largest))
    }

    /// Makes a call and waits for its one message.
    ///
    /// # Errors
    /// What was answered instead, or why nothing was.
    pub async fn unary<I, O>(
        &mut self,
        call: &Unary<I, O>,
        request: Request<I>,
    ) -> Result<Response<O>, Status>
    where
        I: Message + 'static,
        O: Message + Default + 'static,
    {
        self.ready().await?;
        self.0.unary(request, PathAndQuery::from_static(call.0), ProstCodec::default()).await
    }

    /// Makes a call and waits for the head of its stream.
    ///
    /// # Errors
    /// As [`Self::unary`].
    pub async fn streamed<I, O>(
        &mut self,
        call: &Streamed<I, O>,
        request: Request<I>,
    ) -> Result<Response<Streaming<O>>, Status>
    where
        I: Message + 'static,
        O: Message + Default + 'static,
    {
        self.ready().await?;
        self.0.server_streaming(request, PathAndQuery::from_static(call.0), ProstCodec::default()).await
    }

    async fn ready(&mut self) -> Result<(), Status> {
        // The cause is kept: it tells a reply that was lost from a refusal.
        self.0.ready().await.map_err(|why| Status::from_error(why.into()))
    }
}

/// A request and who may answer it, asked one after the other.
pub struct Answer<'a, B> {
    request: Option<http::Request<B>>,
    answered: Option<Pin<Box<dyn Future<Output = http::Response<Body>> + Send + 'a>>>,
    largest: usize,
}

impl<B> fmt::Debug for Answer<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("answered", &self.answered.is_some()).finish_non_exhaustive()
    }
}

impl<'a, B> Answer<'a, B>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    /// To this request, whose message may have `largest` bytes.
    pub fn to(request: http::Request<B>, largest: usize) -> Self {
        Self { request: Some(request), answered: None, largest }
    }

    /// The request, if it asks for this path.
    fn take(&mut self, path: &str) -> Option<http::Request<B>> {
        self.request.take_if(|request| request.uri().path() == path)
    }

    /// Answers it with one message, if it is this call.
    #[must_use]
    pub fn unary<I, O, F, R>(mut self, call: &Unary<I, O>, answer: F) -> Self
    where
        I: Message + Default + 'static,
        O: Message + 'static,
        F: FnMut(Request<I>) -> R + Send + 'a,
        R: Future<Output = Result<Response<O>, Status>> + Send + 'a,
    {
        if let Some(request) = self.take(call.0) {
            let mut server = server(self.largest);
            self.answered = Some(Box::pin(async move { server.unary(Function(answer), request).await }));
        }
        self
    }

    /// Answers it with a stream of messages, if it is this call.
    #[must_use]
    pub fn streamed<I, O, F, R>(mut self, call: &Streamed<I, O>, answer: F) -> Self
    where
        I: Message + Default + 'static,
        O: Message + 'static,
        F: FnMut(Request<I>) -> R + Send + 'a,
        R: Future<Output = Result<Response<BoxStream<O>>, Status>> + Send + 'a,
    {
        if let Some(request) = self.take(call.0) {
            let mut server = server(self.largest);
            self.answered =
                Some(Box::pin(async move { server.server_streaming(Function(answer), request).await }));
        }
        self
    }

    /// What was answered; to a call that nobody took, that there is none.
    pub async fn finish(self) -> http::Response<Body> {
        match self.answered {
            Some(answered) => answered.await,
            None => Status::unimplemented("").into_http(),
        }
    }
}

fn server<O, I>(largest: usize) -> tonic::server::Grpc<ProstCodec<O, I>>
where
    I: Message + Default + 'static,
    O: Message + 'static,
{
    tonic::server::Grpc::new(ProstCodec::default()).apply_max_message_size_config(Some(largest), None)
}

/// A function as the service that tonic asks for.
struct Function<F>(F);

impl<I, M, F, R> Service<Request<I>> for Function<F>
where
    F: FnMut(Request<I>) -> R,
    R: Future<Output = Result<Response<M>, Status>>,
{
    type Response = Response<M>;
    type Error = Status;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> R {
        (self.0)(request)
    }
}
