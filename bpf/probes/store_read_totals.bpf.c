// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What was read of stores since the last report: every few seconds, and when a reader has ended. */
#include "store/read_memory.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IDLE_NS (3600 * 1000000000ull)
/* A kernel counts 100 to 1000 jiffies per second; 250 until we have counted. */
#define JIFFY_NS_MIN 900000
#define JIFFY_NS_MAX 11000000
#define JIFFY_NS_USUAL 4000000

/* The end of a process that read a store: the next walk reports the rest, and removes. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(store_process_exit, struct task_struct *task)
{
	struct store_process_key key = {};
	struct store_process *process;

	if (task->signal->live.counter != 0)
		return 0;
	key.start_time = task->group_leader->start_boottime;
	key.pid = task->tgid;
	process = bpf_map_lookup_elem(&store_processes, &key);
	if (!process)
		return 0;
	process->written = store_written_by(bpf_get_current_task());
	process->ended = 1;
	return 0;
}

/* The beginning of a walk: how long were the jiffies since the last one? */
static __always_inline void on_walk(struct store_read_account *account, u64 session)
{
	u64 now = bpf_ktime_get_boot_ns(), jiffies = bpf_jiffies64(), jiffy_ns = 0;

	if (account->walk_ns && jiffies > account->walk_jiffies)
		jiffy_ns = (now - account->walk_ns) / (jiffies - account->walk_jiffies);
	if (!account->jiffy_ns)
		account->jiffy_ns = JIFFY_NS_USUAL;
	/* Others: the machine slept meanwhile. */
	if (jiffy_ns >= JIFFY_NS_MIN && jiffy_ns <= JIFFY_NS_MAX)
		account->jiffy_ns = jiffy_ns;
	account->walk_ns = now;
	account->walk_jiffies = jiffies;
	account->session = session;
	account->seen = 0;
}

/* Nanoseconds since boot of the latest read, to a jiffy; reads go on while we walk. */
static __always_inline u64 latest_ns(const struct store_read_account *account,
				     const struct store_read_entry *entry)
{
	u64 ago = account->walk_jiffies - entry->latest;

	return (s64)ago > 0 && entry->latest ? account->walk_ns - ago * account->jiffy_ns :
					       account->walk_ns;
}

/* The end of a walk: what is not there any more and was not removed was evicted. */
static __always_inline void on_walk_over(struct store_read_account *account)
{
	u64 evicted, more, *count;
	u32 fault = FAULT_STORE_READS_EVICTED;

	evicted = account->made_before - account->removed - account->seen;
	account->made_before = account->made;
	if ((s64)evicted <= (s64)account->evicted)
		return;
	more = evicted - account->evicted;
	account->evicted = evicted;
	count = bpf_map_lookup_elem(&faults, &fault);
	if (count)
		__sync_fetch_and_add(count, more);
}

static __always_inline struct store_process *process_of(const struct store_read_key *key)
{
	struct store_process_key process = { .start_time = key->start_time, .pid = key->pid };

	return bpf_map_lookup_elem(&store_processes, &process);
}

static __always_inline bool is_over(const struct store_read_key *key,
				    const struct store_read_account *account, u64 latest)
{
	struct store_process *found = process_of(key);

	if (found && found->ended)
		return true;
	return account->walk_ns - latest > IDLE_NS;
}

/* What the reader has written until now, or until it ended. */
static __always_inline u64 written_by(const struct store_read_key *key,
				      const struct store_read_entry *entry)
{
	struct task_struct *leader = (void *)entry->leader;
	struct store_process *found = process_of(key);

	if (found && found->ended)
		return found->written;
	/* The first thread can have ended before the others, and what is there now be another. */
	if (!leader || BPF_CORE_READ(leader, exit_state) ||
	    BPF_CORE_READ(leader, tgid) != key->pid ||
	    BPF_CORE_READ(leader, start_boottime) != key->start_time)
		return STORE_WRITTEN_UNKNOWN;
	return store_written_by(entry->leader);
}

/* Since the first read. */
static __always_inline u64 written_since(const struct store_read_key *key,
					 const struct store_read_entry *entry)
{
	u64 before = entry->written_before, now = written_by(key, entry);

	if (before == STORE_WRITTEN_UNKNOWN || now == STORE_WRITTEN_UNKNOWN || now < before)
		return STORE_WRITTEN_UNKNOWN;
	return now - before;
}

/* At its end, what a reader wrote after its last read is to be told, too. */
static __always_inline bool has_written(const struct store_read_key *key,
					const struct store_read_entry *entry)
{
	u64 written = written_since(key, entry);

	return written != STORE_WRITTEN_UNKNOWN && written != entry->written_reported;
}

static __always_inline u8 report_of(const struct store_read_entry *entry, bool over)
{
	if (over)
		return FLOW_REPORT_LAST;
	return entry->told == STORE_TOLD ? FLOW_REPORT_PERIODIC : FLOW_REPORT_FIRST;
}

/* When the page is full the kernel calls again with the same entry: false. */
static __always_inline bool report(struct seq_file *seq, const struct store_read_key *key,
				   struct store_read_entry *entry,
				   const struct store_read_account *account, u64 latest, bool over)
{
	struct store_scratch *scratch = store_scratch();
	struct store_read *record;
	u64 written;

	if (!scratch)
		return true;
	record = &scratch->record;
	record_zero(record, sizeof(*record));
	record_stamp(&record->header, KIND_STORE_READ, sizeof(*record), latest);
	store_read_fill(record, key, entry, account->jiffy_ns, report_of(entry, over));
	written = written_since(key, entry);
	record->process_written_known = written != STORE_WRITTEN_UNKNOWN;
	if (record->process_written_known)
		record->process_written_bytes = written;
	if (bpf_seq_write(seq, record, sizeof(*record)) != 0)
		return false;
	record_count(KIND_STORE_READ, false);
	store_read_reported(entry, record);
	entry->written_reported = record->process_written_bytes;
	entry->told = STORE_TOLD;
	return true;
}

/* The entry by its pointer and not by a look-up, which would make it the youngest. */
SEC("iter/bpf_map_elem")
int store_reads_iter(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct store_read_account *account = store_read_account();
	struct store_read_entry *entry = ctx->value;
	struct store_read_key key, *at = ctx->key;
	u64 latest;
	bool over;

	if (!account)
		return 0;
	if (account->session != ctx->meta->session_id)
		on_walk(account, ctx->meta->session_id);
	if (!at || !entry) {
		on_walk_over(account);
		return 0;
	}
	if (!entry->made || entry->told == STORE_TOLD_NOW)
		return 0;
	key = *at;
	latest = latest_ns(account, entry);
	over = is_over(&key, account, latest);
	if ((entry->calls != entry->calls_reported || entry->opens != entry->opens_reported ||
	     (over && has_written(&key, entry))) &&
	    !report(seq, &key, entry, account, latest, over))
		return 0;
	if (entry->number < account->made_before)
		account->seen++;
	/* Only what was there: it may have been evicted meanwhile. */
	if (over && bpf_map_delete_elem(&store_reads, &key) == 0)
		__sync_fetch_and_add(&account->removed, 1);
	return 0;
}
