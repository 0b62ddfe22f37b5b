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
    Controller(ControllerLine),
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
    /// The cluster on another host that this process looks after has ended; how.
    EndedElsewhere(Result<u8, Failure>),
    /// The controller's answer to the request to shut down.
    ShutdownAnswered(Result<(), String>),
}

/// What a controller prints on its standard output.
pub enum ControllerLine {
    /// It listens.
    Ready(Box<Ready>),
    /// It cannot listen, and says why.
    Refused(Failure),
    /// It exited without printing a line.
    Nothing,
}

/// How long the controller, which already listens, may take to accept the launcher's connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Starts the thread that reads the one line that a controller prints.
pub fn watch_controller_output(output: ChildStdout, events: Sender<Event>) -> io::Result<()> {
    let read = move || {
        let mut line = String::new();
        let length = BufReader::new(output).read_line(&mut line).unwrap_or_default();
        let line = if length == 0 { ControllerLine::Nothing } else { interpret(&line) };
        // The supervisor may be exiting. Then nobody needs the event.
        let _ = events.send(Event::Controller(line));
    };
    std::thread::Builder::new().name("controller-output".to_owned()).spawn(read).map(drop)
}

fn interpret(line: &str) -> ControllerLine {
    #[derive(serde::Deserialize)]
    struct Refusal {
        error: RefusalText,
    }
    #[derive(serde::Deserialize)]
    struct RefusalText {
        message: String,
        hint: Option<String>,
    }
    if let Ok(ready) = serde_json::from_str::<Ready>(line) {
        return ControllerLine::Ready(Box::new(ready));
    }
    ControllerLine::Refused(match serde_json::from_str::<Refusal>(line) {
        Ok(Refusal { error }) => {
            let failure = Failure::new(Exit::StartFailed, format!("the controller could not start: {}", error.message));
            failure.with_hint(error.hint.unwrap_or_default())
        }
        Err(_) => Failure::new(Exit::StartFailed, format!("the controller said something unexpected: {}", line.trim())),
    })
}

/// Starts the thread that connects to the controller and forwards its notifications about engines.
pub fn watch_engines(client_file: PathBuf, events: Sender<Event>) -> io::Result<()> {
    let watch = move || {
        let client = ConnectionFile::read(&client_file)
            .map_err(Failure::from)
            .and_then(|file| Client::connect_as_launcher(&file, CONNECT_TIMEOUT).map_err(failures::of_client));
        let client = match client {
            Ok(client) => Arc::new(client),
            Err(failure) => {
                let _ = events.send(Event::NotConnected(failure));
                return;
            }
        };
        let mut known = client.engines().into_iter().map(|engine| Event::Client(ClientEvent::EngineJoined(engine)));
        if events.send(Event::Connected(Arc::clone(&client))).is_err() || !known.all(|event| events.send(event).is_ok())
        {
            return;
        }
        // After a disconnection the client reconnects. Only the exit of the controller's process is the end, and is
        // reported by that process. An error, or nothing from a closed client, means that no more notifications come.
        while let Ok(event) = client.wait_event(IDLE) {
            let going_on = match event {
                Some(event) => events.send(Event::Client(event)).is_ok(),
                None => !client.is_closed(),
            };
            if !going_on {
                return;
            }
        }
    };
    std::thread::Builder::new().name("engine-watch".to_owned()).spawn(watch).map(drop)
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
