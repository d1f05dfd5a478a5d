// Package busserver is a NATS server with JetStream inside the process, for
// `slipway up`, for tests and for whoever has no NATS of their own.
package busserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyTimeout bounds the recovery of the store at start.
const readyTimeout = time.Minute

// Options say where the server listens and keeps its files.
type Options struct {
	// Dir holds the streams; it is made where missing.
	Dir string
	// Addr is "host:port"; ":0" listens on a free port of 127.0.0.1. An empty
	// host is 127.0.0.1 too: the bus is opened to others only on purpose.
	Addr string
	// SyncAlways writes each message to the disk before it is acknowledged.
	// Without it, on a single server, a loss of power may lose the messages of
	// the last two minutes; a crash of the process loses none.
	SyncAlways bool
	// Token is what clients must show; none when empty.
	Token string
	// Monitor is "host:port" where the server tells of itself over HTTP
	// (/jsz, /healthz); nowhere when empty.
	Monitor string
	// Log takes the server's warnings and errors; they are dropped when nil.
	Log *slog.Logger
	// Cluster joins servers to one; nil for a single server.
	Cluster *Cluster
}

// Cluster is a server's place among others.
type Cluster struct {
	// Name is this server's; it must be unique.
	Name string
	// Host and Port listen for the other servers; an empty host is 127.0.0.1.
	Host string
	Port int
	// Routes are the URLs of the other servers: "nats://host:port".
	Routes []string
}

// Server is a running server.
type Server struct {
	server *server.Server
}

// Start runs a server and returns when clients can connect. In a cluster,
// streams can be made once more than half of the servers have started.
func Start(o Options) (*Server, error) {
	opts, err := o.server()
	if err != nil {
		return nil, fmt.Errorf("start the bus server: %w", err)
	}
	// The server itself would only log that, and never be ready.
	if err := free(opts); err != nil {
		return nil, fmt.Errorf("start the bus server: %w", err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start the bus server: %w", err)
	}
	fatal := make(chan string, 1)
	s.SetLoggerV2(logger{o.Log, fatal}, false, false, false)
	s.Start()
	if err := ready(s, fatal); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("start the bus server: %w", err)
	}
	return &Server{s}, nil
}

// ready waits until clients can connect, or the server says why they never can.
func ready(s *server.Server, fatal <-chan string) error {
	const look = 50 * time.Millisecond
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); {
		if s.ReadyForConnections(look) {
			return nil
		}
		select {
		case why := <-fatal:
			return errors.New(why)
		default:
		}
	}
	return fmt.Errorf("not ready after %s", readyTimeout)
}

// free errs where somebody else listens already.
func free(o *server.Options) error {
	if o.Port == server.RANDOM_PORT {
		return nil
	}
	addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return err
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

func (o Options) server() (*server.Options, error) {
	if o.Dir == "" {
		return nil, errors.New("no folder for the streams")
	}
	host, port, err := split(o.Addr)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{
		ServerName: "slipway", Host: host, Port: port, Authorization: o.Token,
		JetStream: true, StoreDir: o.Dir, SyncAlways: o.SyncAlways,
		NoSigs: true, DisableShortFirstPing: true,
	}
	if o.Monitor != "" {
		if opts.HTTPHost, opts.HTTPPort, err = split(o.Monitor); err != nil {
			return nil, err
		}
	}
	if c := o.Cluster; c != nil {
		opts.ServerName = c.Name
		opts.Cluster = server.ClusterOpts{Name: "slipway", Host: cmp.Or(c.Host, "127.0.0.1"), Port: c.Port}
		opts.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	}
	return opts, nil
}

// split reads "host:port"; an empty host is this machine's own.
func split(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("read the address: %w", err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("read the address %q: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return host, port, nil
}

// URL is where clients connect.
func (s *Server) URL() string { return s.server.ClientURL() }

// Shutdown stops the server and returns when its files are closed.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Healthy errs where a stream or consumer could not be recovered or can't be
// written to.
func (s *Server) Healthy() error {
	health := s.server.Healthz(&server.HealthzOptions{})
	if health.Error != "" {
		return errors.New(health.Error)
	}
	return nil
}

// Writable errs while a stream can't be written to, such as after the disk was
// full: it stays so, also when there is room again, until the server is started
// anew.
func (s *Server) Writable() error {
	for _, e := range s.server.Healthz(&server.HealthzOptions{Details: true}).Errors {
		// The server has no better word for it.
		if strings.Contains(e.Error, "write error") {
			return errors.New(e.Error)
		}
	}
	return nil
}

// logger is the server's log as slog, where there is one; notices and traces
// are left out.
type logger struct {
	log   *slog.Logger
	fatal chan<- string // takes what the server can't start with
}

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}
func (l logger) Warnf(format string, v ...any) {
	l.write(slog.LevelWarn, fmt.Sprintf(format, v...))
}

func (l logger) Errorf(format string, v ...any) {
	l.write(slog.LevelError, fmt.Sprintf(format, v...))
}

func (l logger) Fatalf(format string, v ...any) {
	says := fmt.Sprintf(format, v...)
	l.write(slog.LevelError, says)
	select {
	case l.fatal <- says:
	default:
	}
}

func (l logger) write(level slog.Level, says string) {
	if l.log != nil {
		l.log.Log(context.Background(), level, "nats server", "says", says)
	}
}
