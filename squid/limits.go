package squid

// MinMemory is the smallest task that Fargate offers, in MiB.
const MinMemory = 512

// descriptorsPerMiB bounds the open descriptors by the task's memory. An idle tunnel takes two descriptors and 41 kB (measured), so that a task of 512 MiB holds at most
// 8,192 tunnels in about 330 MB.
const descriptorsPerMiB = 32

// Fargate's own limit of a task's open descriptors, which larger tasks reach before their memory's.
const maxDescriptors = 65535

func (c Config) descriptors() int { return min(c.Memory*descriptorsPerMiB, maxDescriptors) }

// connectionsPerClient is how many connections one client address may have to one task: with a tunnel on each of them, which takes a descriptor on either side,
// that is a quarter of the task's descriptors.
func (c Config) connectionsPerClient() int { return c.descriptors() / 8 }

// limits writes the bounds on what one client, one request and all of them together may hold.
func (c Config) limits(w *writer) {
	w.section("Limits: no client can use up the task")
	w.line("max_filedescriptors %d", c.descriptors())
	w.line("request_header_max_size 32 KB")
	w.line("reply_header_max_size 64 KB")
	w.line("client_request_buffer_max_size 64 KB")
	w.line("# From a connection's start to its first byte, from there to the end of the headers, and between two requests.")
	w.line("request_start_timeout 15 seconds")
	w.line("request_timeout 30 seconds")
	w.line("client_idle_pconn_timeout 60 seconds")
	w.line("connect_timeout 15 seconds")
	w.line("forward_timeout 60 seconds")
	w.line("# A client that goes away takes its transfer along.")
	w.line("quick_abort_min 0 KB")
	w.line("quick_abort_max 0 KB")
}

// process writes how Squid runs: nothing on disk, nothing cached, gone at once when told to.
func (c Config) process(w *writer) {
	w.section("Process: nothing on disk, nothing cached, one worker, gone at once when told to stop")
	w.line("cache deny all")
	w.line("cache_mem 0")
	w.line("pid_filename none")
	w.line("coredump_dir none")
	w.line("netdb_filename none")
	w.line("mime_table /dev/null")
	w.line("pinger_enable off")
	w.line("hosts_file none")
	w.line("shutdown_lifetime 0 seconds")
}
