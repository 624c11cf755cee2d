//! How a function's process is started: its package, its program, its log stream, its variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_catalog::FunctionDefinition;
use millstream_types::Millis;

use crate::engine::Functions;
use crate::error::FunctionError;
use crate::log_capture::LogCapture;
use crate::process::{Process, Start};
use crate::runtime::Runtime;

impl Functions {
    pub(crate) async fn start(&self, definition: &FunctionDefinition) -> Result<Process, FunctionError> {
        let runtime = Runtime::of(&definition.runtime)?;
        let (packages, hash) = (self.shared.packages.clone(), definition.code_hash.clone());
        let package = tokio::task::spawn_blocking(move || packages.unpacked(&hash))
            .await
            .map_err(|_| FunctionError::Stopping)??;
        let task_root = package.folder.clone();
        let runtimes = &self.shared.runtimes;
        let program = runtimes.program(runtime, &task_root, &definition.handler, definition.memory_mib).await?;
        let group = (self.shared.options.log_group)(&definition.name);
        let name = uuid::Uuid::new_v4().simple().to_string();
        let stream = log_stream(self.now(), &definition.version_text(), &name);
        let log = LogCapture::new(self.shared.insight.logs.clone(), Arc::clone(&self.shared.clock), group, stream);
        let log = Arc::new(log);
        let options = &self.shared.options;
        let libraries = options.python_path.iter().chain(&options.node_path).chain(&options.readable);
        let readable = [task_root.clone()].into_iter().chain(program.readable.clone()).chain(libraries.cloned());
        // The function's own variables win over what its program would have.
        let mut environment = program.environment.clone();
        environment.extend(self.environment(definition, &task_root, &log.stream));
        let start = Start {
            environment,
            launcher: options.launcher.clone().map(|launcher| (launcher, self.shared.confinement)),
            readable: readable.collect(),
            hidden: options.hidden.clone(),
            program,
            package,
            memory_mib: definition.memory_mib,
            log,
            temporary: self.shared.options.folder.join("tmp").join(uuid::Uuid::new_v4().to_string()),
        };
        Process::start(start, definition.generation.clone()).await
    }

    /// The variables of a process, as the service sets them; nothing of the node's own but PATH.
    fn environment(&self, definition: &FunctionDefinition, task_root: &Path, stream: &str) -> Vec<(String, String)> {
        let options = &self.shared.options;
        let credentials = (options.credentials)(&definition.reference());
        let root = task_root.display().to_string();
        let paths = |extra: &[PathBuf]| {
            let own = std::iter::once(root.clone());
            own.chain(extra.iter().map(|path| path.display().to_string())).collect::<Vec<_>>().join(":")
        };
        let mut environment = vec![
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TZ".to_owned(), ":UTC".to_owned()),
            ("_HANDLER".to_owned(), definition.handler.clone()),
            ("LAMBDA_TASK_ROOT".to_owned(), root.clone()),
            ("LAMBDA_RUNTIME_DIR".to_owned(), options.folder.join("bootstrap").display().to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME".to_owned(), definition.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION".to_owned(), definition.version_text()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), definition.memory_mib.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME".to_owned(), (options.log_group)(&definition.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), stream.to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE".to_owned(), "on-demand".to_owned()),
            ("AWS_EXECUTION_ENV".to_owned(), format!("AWS_Lambda_{}", definition.runtime)),
            ("AWS_REGION".to_owned(), options.region.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), options.region.clone()),
            ("AWS_ENDPOINT_URL".to_owned(), options.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret),
            ("AWS_SESSION_TOKEN".to_owned(), credentials.session_token),
            ("PYTHONPATH".to_owned(), paths(&options.python_path)),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("NODE_PATH".to_owned(), paths(&options.node_path)),
        ];
        environment.extend(definition.environment.clone());
        environment
    }
}

/// `2026/11/21/[VERSION]` and what tells streams of a day apart: of a process, 32 hex digits.
pub(crate) fn log_stream(now: Millis, version: &str, name: &str) -> String {
    let at = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}/[{version}]{name}", at.strftime("%Y/%m/%d"))
}
