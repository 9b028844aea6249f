package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/iancoleman/strcase"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql/driver"
)

const (
	undefinedDatabase = "3D000"
	duplicateDatabase = "42P04"
	undefinedObject   = "42704"
	lockNotAvailable  = "55P03"

	postgresTimeout = 5 * time.Second
	// maintenanceDatabase is where one connects to make another.
	maintenanceDatabase = "postgres"
)

// database is one database of a PostgreSQL server.
type database struct {
	name string
	url  *url.URL
	addr string
}

func parsePostgres(rawURL string) (database, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The URL is left out: it holds the password.
		return database{}, errors.New("the database is not a postgres:// URL")
	}
	c, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return database{}, fmt.Errorf("the database's URL: %s", oneLine(err))
	}
	if c.Database == "" {
		return database{}, errors.New("the database's URL names no database: postgres://host/name")
	}
	d := database{name: c.Database, url: u, addr: address(c.Host, int(c.Port))}
	return d.named(c.Database), nil
}

func (d database) named(name string) database {
	u := *d.url
	q := u.Query()
	q.Del("dbname")
	q.Del("database")
	u.RawQuery, u.Path, u.RawPath = q.Encode(), "/"+name, ""
	d.name, d.url = name, &u
	return d
}

func (d database) String() string { return fmt.Sprintf("PostgreSQL database %s at %s", d.name, d.addr) }

// connectOrCreate connects to the database, after making it where it is absent.
func (d database) connectOrCreate(ctx context.Context) (*pgx.Conn, error) {
	conn, err := d.dial(ctx)
	if !hasCode(err, undefinedDatabase) {
		return conn, d.explain(err)
	}
	maintenance := d.named(maintenanceDatabase)
	conn, err = maintenance.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s does not exist, and to make it: %w", d, maintenance.explain(err))
	}
	defer conn.Close(ctx)
	if err := d.create(ctx, conn); err != nil {
		return nil, err
	}
	conn, err = d.dial(ctx)
	return conn, d.explain(err)
}

// dial gives up early: whoever starts us waits for the answer.
func (d database) dial(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, postgresTimeout)
	defer cancel()
	return pgx.Connect(ctx, d.url.String())
}

// create makes the database where it is absent.
func (d database) create(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", d.name).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.name}.Sanitize())
	}
	if err != nil && !hasCode(err, duplicateDatabase) {
		return d.explain(err)
	}
	return nil
}

// config is the server's way to the database. We connect for it, since it would
// take the URL apart and put it together with less in it.
func (d database) config(connections int) *config.SQL {
	return &config.SQL{
		PluginName:      postgresql.PluginNamePGX,
		DatabaseName:    d.name,
		ConnectAddr:     d.addr,
		ConnectProtocol: "tcp",
		MaxConns:        connections,
		MaxIdleConns:    connections,
		Connect: func(c *config.SQL) (*sqlx.DB, error) {
			db, err := d.connect()
			if err != nil {
				return nil, err
			}
			db.SetMaxOpenConns(c.MaxConns)
			db.SetMaxIdleConns(c.MaxIdleConns)
			db.MapperFunc(strcase.ToSnake) // the columns' names, in the server's queries
			return db, nil
		},
	}
}

func (d database) connect() (*sqlx.DB, error) {
	db, err := (&driver.PGXDriver{}).CreateConnection(d.url.String())
	if err != nil {
		return nil, d.explain(err)
	}
	return db, nil
}

// explain says in one line what an error of PostgreSQL or of the way to it means.
func (d database) explain(err error) error {
	if err == nil {
		return nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("%s: %s", d, pg.Message)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %s", d, postgresTimeout)
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return fmt.Errorf("%s: %w", d, sys.Err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("%s: %s", d, dns.Err)
	}
	return fmt.Errorf("%s: %s", d, strings.TrimPrefix(oneLine(err), "failed to connect to "))
}

func hasCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}
