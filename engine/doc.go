// Package engine runs the Temporal server and its Web UI inside this process, on
// SQLite files, in memory, or on PostgreSQL.
//
//	e, err := engine.Start(ctx, engine.Config{DataDir: ".postdate", Port: 7233, UIPort: 8233})
//	…
//	defer e.Stop()
//	c, err := client.Dial(client.Options{HostPort: e.Address()})
//
// It is one server and stays one: its services know each other by fixed
// addresses, and a data folder or database is held by one engine at a time. What
// outgrows it moves to a Temporal cluster.
//
// # What is tuned, and why
//
// A Temporal server comes set up for a shared cluster of many machines. Here it
// shares a machine with everything else, and has one user.
//
// Task queues have one partition. The default of four spreads a queue over machines; on
// one machine tasks and pollers would miss each other.
//
// Tasks are dispatched fairly, by the fairness key of their executions: a tenant with
// thousands of tasks alternates with tenants that have one.
//
// Few executions are woken at once. With 512 timer workers, the default, thousands of
// executions that are due at one instant are all woken before the first of them makes
// progress: its writes wait behind theirs.
//
// Rate limits are out of reach: requests and database queries per second, list
// queries (10 per second by default), long polls, starts by Schedules (30),
// batch operations. They protect tenants from each other. A workflow id can be
// used again at once, where the default waits a second.
//
// Warnings come only where an operator can act: for values from half of the limit
// (2 MB), for memos from an eighth. By default those for memos begin at 2 KB: a memo
// here names up to a hundred deliveries of a group, so each such execution would be
// warned of several times.
//
// Caches are small. The default ones hold 128,000 executions for an hour, which
// is over a gigabyte as soon as that many are scheduled for next year.
//
// Visibility, the database that lists are made from, stands apart from the one
// that executions run on, and has the indexes that are queried instead of the
// 60 that Temporal makes: default order, workflow id, type, status, execution
// time and registered attributes. Indexes on columns that few rows have leave
// out the others. Where an attribute is added later, Start makes its index. The
// full-text tables, in which SQLite finds keyword lists, are Temporal's own: to
// do without their triggers for Text would save next to nothing.
//
// SQLite writes ahead (WAL) and, unless Synchronous is Normal, waits for the
// disk at each commit. One connection per file: a second one only waits for the
// first, and is slower. One history shard, since shards are for writing side by
// side; it looks for what is due more often than each of many would. Pages are
// cached more generously, and moved out of the write-ahead log less often, than by
// SQLite's defaults, which are for small devices.
//
// PostgreSQL writes side by side and commits in groups, so there are many
// shards, each with several writes under way. The number of shards is fixed
// with the first start. Connections stay below PostgreSQL's default limit of
// 100 in all.
//
// The server does not look for newer versions, has no metrics or profiling port,
// and its internal services listen on free ports of 127.0.0.1.
//
// # What it leaves to others
//
// There is no authentication: a client that reaches Host's ports may do everything.
// SQLite files have no upgrade path in Temporal; a file of another version's
// schema is refused. PostgreSQL's schema is upgraded.
package engine
