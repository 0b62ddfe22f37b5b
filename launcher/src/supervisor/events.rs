//! Where the supervisor's events come from: one thread for signals, one for the controller's first line, one for the
//! controller's notifications. All go into one channel.

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

/// Something for the supervisor.
pub enum Event {
    /// A signal to this process.
    Signal(Signal),
    /// The controller's standard output.
    Controller(ControllerLine),
    /// The controller let us in.
    Connected(Arc<Client>),
    /// It did not.
    NotConnected(Failure),
    /// It tells of engines.
    Client(ClientEvent),
    /// A launcher has news.
    Launcher,
    /// How busy the cluster is.
    Load(Box<Status>),
    /// Another command asks for something; the answer goes back.
    Request(Request, AnswerTo),
    /// Nobody looks after this cluster any more, which was started from another host; why.
    LeaseOver(String),
    /// The cluster on another host, which this process looks after, has ended; how.
    EndedElsewhere(Result<u8, Failure>),
    /// The controller's answer to the request to shut down.
    ShutdownAnswered(Result<(), String>),
}

/// All that a controller prints.
pub enum ControllerLine {
    /// It listens.
    Ready(Box<Ready>),
    /// It cannot, and says why.
    Refused(Failure),
    /// It ended without a word.
    Nothing,
}

/// How long the controller, which has just said that it listens, may take to let its launcher in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the load is looked at, where jobs come and go with it.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Longest wait for a notification; there is no need to look in between.
const IDLE: Duration = Duration::from_secs(3600);

/// What a launcher wakes the supervisor with.
pub fn waker(events: &Sender<Event>) -> Wake {
    let events = events.clone();
    Arc::new(move || {
        // The supervisor may be on its way out; then nobody needs to know.
        let _ = events.send(Event::Launcher);
    })
}

/// Sends signals as events. Call it before there is any other thread.
pub fn watch_signals(signals: BlockedSignals, events: Sender<Event>) -> io::Result<()> {
    signals.forward(move |signal| events.send(Event::Signal(signal)).is_ok())
}

/// Reads the one line that a controller prints.
pub fn watch_controller_output(output: ChildStdout, events: Sender<Event>) -> io::Result<()> {
    let read = move || {
        let mut line = String::new();
        let length = BufReader::new(output).read_line(&mut line).unwrap_or_default();
        let line = if length == 0 { ControllerLine::Nothing } else { interpret(&line) };
        // The supervisor may be on its way out; then nobody needs to know.
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

/// Connects to the controller and passes on what it tells of engines.
pub fn watch_engines(client_file: PathBuf, events: Sender<Event>) -> io::Result<()> {
    let watch = move || {
        let client = ConnectionFile::read(&client_file)
            .map_err(Failure::from)
            .and_then(|file| Client::connect(&file, CONNECT_TIMEOUT).map_err(failures::of_client));
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
        // After a disconnection the client tries to come back; only the controller's end is the end, and its process
        // tells that. An error, or nothing from a closed client, means that there is nothing more to hear.
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

/// Tells every second how busy the cluster is.
pub fn watch_load(client: Arc<Client>, events: Sender<Event>) -> io::Result<()> {
    let watch = move || {
        while !client.is_closed() {
            // A controller that does not answer is seen to by others.
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

/// Asks the controller to shut itself and all engines down, without waiting here for the answer.
pub fn request_shutdown(client: Arc<Client>, timeout: Duration, events: Sender<Event>) -> io::Result<()> {
    let request = move || {
        let answer = client.shutdown(None, timeout).map_err(|error| error.to_string());
        let _ = events.send(Event::ShutdownAnswered(answer));
    };
    std::thread::Builder::new().name("shutdown".to_owned()).spawn(request).map(drop)
}

/// Requests of other commands as events, taken at a socket in the cluster's socket folder.
pub fn watch_requests(socket_dir: &Path, events: Sender<Event>) -> io::Result<()> {
    requests::listen(socket_dir, move |request, answer| events.send(Event::Request(request, answer)).is_ok())
}
