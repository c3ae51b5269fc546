//! The one binary: hands the command line to `cli`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use corelog::api::{ApiSettings, SessionLimits};
use corelog::launch::meta::DataDir;
use corelog::launch::process::{self, ProcessPlan};
use corelog::listen::{Admission, ConnectionLimits, ListenSettings, ListenerPlan, ServerPlan};
use shards::catalog::CatalogSettings;
use shards::shard::settings::{Layout, ShardSettings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let var = |k: &str, d: &str| std::env::var(k).unwrap_or(d.to_owned());
    let dir = PathBuf::from(var("CL_DIR", "/tmp/corelog-dev"));
    let addr: SocketAddr = var("CL_LISTEN", "127.0.0.1:9092").parse().unwrap();
    let shards: u32 = var("CL_SHARDS", "1").parse().unwrap();
    let data = DataDir::open(&dir, 1, || "abcdefghijklmnopqrstuw".to_owned()).unwrap();
    let settings = ShardSettings {
        layout: Layout { root: dir },
        node_id: 1,
        shards,
        journal_bytes: var("CL_JOURNAL", "67108864").parse().unwrap(),
        journal_bytes_max: 256 << 20,
        window_bytes: 32 << 20,
        cache_bytes: 128 << 20,
        open_files: 1000,
        index_cache_bytes: 16 << 20,
        producer_ids_max: 100_000,
        producer_expiration_ms: 86_400_000,
        retention_check_ms: 300_000,
        mailbox_bytes: 8 << 20,
        mailbox_messages: 1024,
    };
    let catalog = CatalogSettings::new(data.meta.cluster_id.clone(), 1);
    let admission = Admission::new(ConnectionLimits::default());
    let api = ApiSettings {
        decompressed_bytes_max: 256 << 20,
        node_id: 1,
        cluster_id: data.meta.cluster_id.as_str().into(),
        rack: None,
        auto_create_topics: true,
        fetch_bytes_max: 55 << 20,
        sessions: SessionLimits::default(),
    };
    let plan = ProcessPlan {
        data,
        shard: settings,
        catalog,
        endpoints: Vec::new(),
        cpus: vec![None; shards as usize],
        spin: Duration::ZERO,
        io_memory_bytes: 32 << 20,
        server: Box::new(move |_| ServerPlan {
            listeners: vec![ListenerPlan { name: "PLAINTEXT".into(), addr, advertised: None }],
            settings: ListenSettings::default(),
            api: api.clone(),
            budget_bytes: 512 << 20,
            admission: admission.clone(),
        }),
        listen: vec![addr],
    };
    match process::run(plan, |a| println!("ready {a:?}")) {
        Ok(summary) => {
            eprintln!("stopped after {:?}, clean {}", summary.ran_for, summary.clean);
            for core in summary.cores {
                eprintln!("{}", core.stages);
            }
        }
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(1);
        }
    }
}
