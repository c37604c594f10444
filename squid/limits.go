package squid

import "time"

// MinMemory is the smallest task that Fargate offers, in MiB.
const MinMemory = 512

// descriptorsPerMiB bounds the open descriptors by the task's memory. The memory lasts when each of
// the connections completes headers of maxHeader at the same moment. Squid reads all of them before
// it cuts off the first. docs/design/security.md has what BenchmarkMemory measures of that. A
// tunnel takes two descriptors.
const descriptorsPerMiB = 10

// maxDescriptors is Fargate's own limit, which larger tasks reach before their memory's.
const maxDescriptors = 65535

// Descriptors is how many Squid may have open.
func (c Config) Descriptors() int { return min(c.Memory*descriptorsPerMiB, maxDescriptors) }

// connectionsPerClient is how many connections one client address may have to one task. With a
// tunnel on each, which takes two descriptors, that is two fifths of the task's descriptors. Squid
// asks for it at each request: a connection that has not sent one counts, but is not stopped.
func (c Config) connectionsPerClient() int { return c.Descriptors() / 5 }

// maxHeader is how long the headers of a request may be, in KB: a request line of 8,000 octets
// (RFC 9110, section 4.1), the same once more as the uri of Digest credentials, and the rest.
// Squid's buffer, maxRequest, has to be larger: it also takes what a client sends while its last
// request is being answered.
const (
	maxHeader  = 17
	maxRequest = maxHeader + 3
)

// requestTimeout is how long a connection may take for the headers of its first request, in
// seconds: enough for a packet that is lost twice (1 and 2 s). Until then it is in nobody's share.
const requestTimeout = 6

// IdleMargin is how much earlier than the load balancer Squid gives up a silent exchange. The load
// balancer forgets a silent connection and tells neither side. A little earlier, a client still
// learns how it ended: from a 504, or from the end of its tunnel.
const IdleMargin = 5 * time.Second

// MinIdleTimeout is the load balancer's least.
const MinIdleTimeout = time.Minute

// silence is how long an exchange may be silent, in seconds.
func (c Config) silence() int { return int((c.IdleTimeout - IdleMargin).Seconds()) }

// nameRepeat and nameTimeout are for questions to the name server, in milliseconds. Squid waits for
// the answers about both families, so a name server which never answers about IPv6 delays the first
// request for each name until Squid gives up. Squid asks again after nameRepeat, then after twice
// and four times as long, until nameTimeout is over: at 0, 0.75 and 2.25 s, and gives up at 5.25 s.
// An answer to any of them counts: a name server may take 5 s or lose two packets.
const (
	nameRepeat  = 750
	nameTimeout = 4500
)

// limits writes the bounds on what one client, one request and all of them together may hold.
// None is needed on a response's headers (64 KB by default), nor on transfers whose client has
// gone: they end, because nothing is cached.
func (c Config) limits(w *writer) {
	w.section("Limits: no client can use up the task")
	w.line("max_filedescriptors %d", c.Descriptors())
	w.line("request_header_max_size %d KB", maxHeader)
	w.line("client_request_buffer_max_size %d KB", maxRequest)
	w.line("# From a connection's start to its PROXY header, from there to the end of the first request's")
	w.line("# headers, and from an answer to the end of the next one's.")
	w.line("request_start_timeout 5 seconds")
	w.line("request_timeout %d seconds", requestTimeout)
	w.line("client_idle_pconn_timeout %d seconds", min(60, c.silence()))
	w.line("# Asking a name server again, and giving up.")
	w.line("dns_retransmit_interval %d milliseconds", nameRepeat)
	w.line("dns_timeout %d milliseconds", nameTimeout)
	w.line("# Connecting to one address of a destination, and to all of them.")
	w.line("connect_timeout 15 seconds")
	w.line("forward_timeout %d seconds", min(60, c.silence()))
	w.line("# A destination that sends nothing, a tunnel in which nothing moves, a client that takes nothing.")
	w.line("read_timeout %d seconds", c.silence())
	w.line("write_timeout %d seconds", c.silence())
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
	w.line("# No look at the machine's ARP table for each connection.")
	w.line("eui_lookup off")
	w.line("hosts_file none")
	w.line("# No question to the name server about each client: the defaults hold the client's name, which")
	w.line("# Squid 5.7 looks up although it runs neither helper.")
	w.line("url_rewrite_extras -")
	w.line("store_id_extras -")
	w.line("shutdown_lifetime 0 seconds")
}
