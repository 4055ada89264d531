package postgres

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// recorder stands between engines and their servers and keeps what the engines send, whichever way they send it.
type recorder struct {
	mu       sync.Mutex
	sent     map[string]bool
	executed int                  // statements that were run, where they were prepared
	trips    int                  // round trips of those
	notice   func(message string) // is called with what the server notes; nil: nobody listens
}

// through gives a URL by which a server is reached through the recorder until the test ends.
func (r *recorder) through(t *testing.T, address string) string {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := to.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // the test ends
			}
			running.Go(func() { r.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	to.Host = l.Addr().String()
	return to.String()
}

// pass connects a client to the server until one of them ends it.
func (r *recorder) pass(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return // the client sees it
	}
	var back sync.WaitGroup
	back.Go(func() {
		r.answer(client, server)
		_ = client.Close()
	})
	r.record(pgproto3.NewBackend(io.TeeReader(client, server), nil))
	_ = server.Close()
	back.Wait()
}

// answer passes on what the server sends, until it sends no more.
func (r *recorder) answer(client io.Writer, server io.Reader) {
	if r.notice == nil {
		_, _ = io.Copy(client, server)
		return
	}
	messages := pgproto3.NewFrontend(io.TeeReader(server, client), nil)
	for {
		message, err := messages.Receive()
		if err != nil {
			return
		}
		if n, ok := message.(*pgproto3.NoticeResponse); ok {
			r.notice(n.Message)
		}
	}
}

// record keeps the statements that a client sends, until it sends no more.
func (r *recorder) record(client *pgproto3.Backend) {
	for {
		first, err := client.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, begins := first.(*pgproto3.StartupMessage); begins { // else it asks for encryption, or cancels
			break
		}
	}
	for {
		message, err := client.Receive()
		if err != nil {
			return
		}
		r.mu.Lock()
		switch m := message.(type) {
		case *pgproto3.Parse:
			r.sent[m.Query] = true
		case *pgproto3.Query:
			r.sent[m.String] = true
		case *pgproto3.Execute:
			r.executed++
		case *pgproto3.Sync:
			r.trips++
		}
		r.mu.Unlock()
	}
}

// written is a statement in the source, with %s for each part that is not written there.
type written struct {
	text  string
	place string
}

// beginsStatement matches the texts that are taken for statements: with a name, or with a verb.
var beginsStatement = regexp.MustCompile(`^(/\* \w+ \*/ |` +
	`(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CREATE|ALTER|DROP|TRUNCATE|LOCK|COPY)\s)`)

// writtenStatements finds the statements in the source of the store and of every folder in it. What is only for SQLite
// is left out: its engine, and what a move reads. So is storetest, which has none.
func writtenStatements(t *testing.T) (found []written) {
	t.Helper()
	own, err := filepath.Glob("../*.go")
	folders, err2 := filepath.Glob("../*/*.go")
	if err != nil || err2 != nil || len(own) == 0 || len(folders) == 0 {
		t.Fatal(own, err, folders, err2)
	}
	leftOut := regexp.MustCompile(`_test\.go$|^\.\./(sqlite|storetest)/|^\.\./move/source\.go$`)
	fset := token.NewFileSet()
	for _, path := range append(own, folders...) {
		if leftOut.MatchString(path) {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text := textOf(e)
			begins := beginsStatement.MatchString(text)
			if begins {
				found = append(found, written{text, fset.Position(e.Pos()).String()})
			}
			return !begins // what stands behind is no beginning
		})
	}
	return found
}

// textOf gives a text or a sum of texts as it is written, with %s for what is not a text there.
func textOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return textOf(e.X) + textOf(e.Y)
	}
	return "%s"
}
