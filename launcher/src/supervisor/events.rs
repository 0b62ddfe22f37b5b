//! The sources of the supervisor's events: threads for signals, for the controller's first line, for its notifications,
//! and for what else must not block the supervisor. All send into one channel.

use crate::failures;
use crate::requests::{self, AnswerTo, Request};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::{BlockedSignals, Signal};
use ipclusterz_launchers::contract::Wake;
use ipclusterz_runtime::client::{Client, Event as ClientEvent};
use ipclusterz_runtime::controller::Ready;
use ipclusterz_runtime::wire::message::Status;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// An event for the supervisor.
pub enum Event {
    /// A signal to this process.
    Signal(Signal),
    /// The first line of the controller's standard output.
    Controller(NumberedLine),
    /// This process is connected to the controller.
    Connected(Arc<Client>),
    /// The controller could not be reached.
    NotConnected(Failure),
    /// A notification of the controller about engines.
    Client(ClientEvent),
    /// A launcher has news.
    Launcher,
    /// How busy the cluster is, as the controller reports it.
    Load(Box<Status>),
    /// A request of another command, and the channel for the answer.
    Request(Request, AnswerTo),
    /// The lease of this cluster, which was started from another host, has expired; why.
    LeaseOver(String),
    /// Another process has taken the cluster over: this one was held up for so long that it was thought to be gone.
    TakenOver,
    /// The cluster on another host that this process looks after has ended; how.
    EndedElsewhere(Result<u8, Failure>),
    /// The controller's answer to the request to shut down.
    ShutdownAnswered(Result<(), String>),
}

/// What one of the controllers that were started printed.
pub struct NumberedLine {
    /// Which start it was, counted from 1.
    pub start: u32,
    /// What it printed.
    pub line: ControllerLine,
}

/// What a controller prints on its standard output.
pub enum ControllerLine {
    /// It listens.
    Ready(Box<Ready>),
    /// It cannot listen, and says why.
    Refused(Failure),
    /// It cannot listen again because the disk is full, and says where.
    LacksRoom(String),
    /// It exited without printing a line.
    Nothing,
}

/// How long the controller, which already listens, may take to accept the launcher's connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before another attempt to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

/// How often the load is fetched, if jobs start and end with it.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait for a notification. There is nothing to do in between.
const IDLE: Duration = Duration::from_secs(3600);

/// Makes the function that a launcher calls to wake the supervisor.
pub fn waker(events: &Sender<Event>) -> Wake {
    let events = events.clone();
    Arc::new(move || {
        // The supervisor may be exiting. Then nobody needs the event.
        let _ = events.send(Event::Launcher);
    })
}

/// Starts the thread that sends signals as events. Call it before there is any other thread.
pub fn watch_signals(signals: BlockedSignals, events: Sender<Event>) -> io::Result<()> {
    signals.forward(move |signal| events.send(Event::Signal(signal)).is_ok())
}

/// Starts the thread that reads the one line that a controller prints. `start` is the number of its start, and `again`
/// tells whether there was one before.
pub fn watch_controller_output(output: ChildStdout, start: u32, again: bool, events: Sender<Event>) -> io::Result<()> {
    let read = move || {
        let mut line = String::new();
        let length = BufReader::new(output).read_line(&mut line).unwrap_or_default();
        let line = if length == 0 { ControllerLine::Nothing } else { interpret(&line, again) };
        // The supervisor may be exiting. Then nobody needs the event.
        let _ = events.send(Event::Controller(NumberedLine { start, line }));
    };
    std::thread::Builder::new().name("controller-output".to_owned()).spawn(read).map(drop)
}

fn interpret(line: &str, again: bool) -> ControllerLine {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: RefusalText,
    }
    #[derive(serde::Deserialize)]
    struct RefusalText {
        message: String,
        hint: Option<String>,
        #[serde(default)]
        disk_is_full: bool,
    }
    if let Ok(ready) = serde_json::from_str::<Ready>(line) {
        return ControllerLine::Ready(Box::new(ready));
    }
    ControllerLine::Refused(match serde_json::from_str::<Refusal>(line) {
        Ok(Refusal { error }) if again && error.disk_is_full => return ControllerLine::LacksRoom(error.message),
        Ok(Refusal { error }) => {
            let what = if again { "be started again" } else { "start" };
            let message = format!("the controller could not {what}: {}", error.message);
            let failure = Failure::new(Exit::StartFailed, message);
            failure.with_hint(error.hint.unwrap_or_default())
        }
        Err(_) => Failure::new(Exit::StartFailed, format!("the controller said something unexpected: {}", line.trim())),
    })
}

/// Starts the thread that connects to the controller and forwards its notifications about engines. With `again` it does
/// so anew when the controller does not know it any more.
pub fn watch_engines(client_file: PathBuf, again: bool, events: Sender<Event>) -> io::Result<()> {
    let watch = move || {
        while let Some(client) = connect(&client_file, again, &events) {
            forward(&client, &events);
            // What else waits for this client is not to wait for ever.
            client.close();
            if !again {
                return;
            }
        }
    };
    std::thread::Builder::new().name("engine-watch".to_owned()).spawn(watch).map(drop)
}

/// Connects, with `again` as often as it takes. Returns `None` when nobody needs it any more.
fn connect(client_file: &Path, again: bool, events: &Sender<Event>) -> Option<Arc<Client>> {
    loop {
        let client = ConnectionFile::read(client_file)
            .map_err(Failure::from)
            .and_then(|file| Client::connect_as_launcher(&file, CONNECT_TIMEOUT).map_err(failures::of_client));
        match client {
            Ok(client) => return Some(Arc::new(client)),
            Err(failure) => events.send(Event::NotConnected(failure)).ok()?,
        }
        if !again {
            return None;
        }
        std::thread::sleep(CONNECT_PAUSE);
    }
}

/// Forwards notifications until the session is lost. As long as there is one, the client reconnects by itself.
fn forward(client: &Arc<Client>, events: &Sender<Event>) {
    let known = client.engines().into_iter().map(|engine| Event::Client(ClientEvent::EngineJoined(engine)));
    let mut first = std::iter::once(Event::Connected(Arc::clone(client))).chain(known);
    if !first.all(|event| events.send(event).is_ok()) {
        return;
    }
    // An error, or nothing from a closed client, means that no more notifications come.
    while let Ok(event) = client.wait_event(IDLE) {
        let Some(event) = event else {
            if client.is_closed() {
                return;
            } else {
                continue;
            };
        };
        let is_over = matches!(event, ClientEvent::Disconnected { .. });
        if events.send(Event::Client(event)).is_err() || is_over {
            return;
        }
    }
}

/// Starts the thread that reports every second how busy the cluster is.
pub fn watch_load(client: Arc<Client>, events: Sender<Event>) -> io::Result<()> {
    let watch = move || {
        while !client.is_closed() {
            // Others handle a controller that does not answer.
            if let Ok(status) = client.status(CONNECT_TIMEOUT)
                && events.send(Event::Load(Box::new(status))).is_err()
            {
                return;
            }
            std::thread::sleep(LOAD_INTERVAL);
        }
    };
    std::thread::Builder::new().name("load-watch".to_owned()).spawn(watch).map(drop)
}

/// Asks the controller to shut down itself and all engines. Does not wait: the answer is an event.
pub fn request_shutdown(client: Arc<Client>, timeout: Duration, events: Sender<Event>) -> io::Result<()> {
    let request = move || {
        let answer = client.shutdown(None, timeout).map_err(|error| error.to_string());
        let _ = events.send(Event::ShutdownAnswered(answer));
    };
    std::thread::Builder::new().name("shutdown".to_owned()).spawn(request).map(drop)
}

/// Accepts requests of other commands at a socket in the cluster's socket folder, and sends them as events.
pub fn watch_requests(socket_dir: &Path, events: Sender<Event>) -> io::Result<()> {
    requests::listen(socket_dir, move |request, answer| events.send(Event::Request(request, answer)).is_ok())
}
