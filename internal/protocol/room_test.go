package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentd/consentd/internal/consent"
)

const (
	testRoom     = 4 * MaxBody
	testPromises = 1
)

// taken tells how much of a test's room somebody has.
func (r *Room) taken() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return testRoom - r.free - int64(r.promises)*MaxBody
}

// TestBodyHasNoMoreRoomThanCame sends large bodies slowly: whatever length they tell, they have no more than has come of them.
func TestBodyHasNoMoreRoomThanCame(t *testing.T) {
	for _, length := range []int64{-1, MaxBody, 1 << 40} {
		in, out := io.Pipe()
		c := call(in)
		c.Room, c.Request.ContentLength = NewRoom(testRoom, testRoom), length
		read := make(chan error)
		go func() {
			Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
				err := ReadJSON(c, &letter{})
				read <- err
				<-read
				return err
			}, func(*Call, error) {})
			close(read)
		}()
		body := ofSize(MaxBody)
		for sent := 0; sent < len(body); {
			n := min(len(body)-sent, 1000+sent/10)
			if _, err := out.Write([]byte(body[sent : sent+n])); err != nil {
				t.Fatal(err)
			}
			if sent += n; c.Room.taken() > int64(sent) {
				t.Fatalf("of length %d: %d bytes came, and the body has room for %d", length, sent, c.Room.taken())
			}
		}
		_ = out.Close()
		if err := <-read; length <= MaxBody && err != nil {
			t.Errorf("of length %d: %v", length, err)
		}
		if n := c.Room.taken(); length <= MaxBody && n < MaxBody-smallBody {
			t.Errorf("of length %d: a body of %d bytes is in memory, and has room for %d", length, len(body), n)
		}
		read <- nil
		<-read
		if n := c.Room.taken(); n != 0 {
			t.Errorf("of length %d: %d bytes are still taken at the end of the call", length, n)
		}
	}
}

// TestAnnouncedBodyTakesLittle announces bodies that need no room, of which nothing comes.
func TestAnnouncedBodyTakesLittle(t *testing.T) {
	const bodies = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range bodies {
		c := call(brokenReader{})
		c.Request.ContentLength = smallBody
		if err := ReadJSON(c, &letter{}); err == nil {
			t.Fatal("a body that did not come was read")
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / bodies; each > 4*firstPart {
		t.Errorf("a body of which nothing came took %d bytes", each)
	}
}

// TestRoomIsGivenBack ends calls in every way that there is.
func TestRoomIsGivenBack(t *testing.T) {
	room := NewRoom(testRoom, testRoom)
	large := ofSize(MaxBody)
	for name, tc := range map[string]struct {
		body   io.Reader
		length int64
		handle func() error
	}{
		"answered":              {strings.NewReader(large), MaxBody, func() error { return nil }},
		"answered, in chunks":   {strings.NewReader(large), -1, func() error { return nil }},
		"refused":               {strings.NewReader(large), MaxBody, func() error { return errors.New("no") }},
		"replayed":              {strings.NewReader(large), -1, func() error { return &consent.Replayed{Answer: Answer{Status: 200}.encode()} }},
		"panics":                {strings.NewReader(large), MaxBody, func() error { panic("on purpose") }},
		"no JSON":               {strings.NewReader(strings.Repeat("x", MaxBody)), MaxBody, nil},
		"too large":             {strings.NewReader(large + large), -1, nil},
		"breaks off":            {io.MultiReader(strings.NewReader(large[:MaxBody/2]), brokenReader{}), MaxBody, nil},
		"breaks off, in chunks": {io.MultiReader(strings.NewReader(large[:MaxBody/2]), brokenReader{}), -1, nil},
		"ends early":            {strings.NewReader(large[:MaxBody/2]), MaxBody, nil},
	} {
		c := call(tc.body)
		c.Room, c.Request.ContentLength = room, tc.length
		func() {
			defer func() { _ = recover() }()
			Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
				err := ReadJSON(c, &letter{})
				if (err == nil) != (tc.handle != nil) || room.taken() < MaxBody/4 {
					t.Errorf("%s: read with %v, and %d bytes are taken", name, err, room.taken())
				}
				if err != nil {
					return err
				}
				return tc.handle()
			}, func(*Call, error) {})
		}()
		if room.taken() != 0 {
			t.Fatalf("%s: %d bytes are still taken", name, room.taken())
		}
	}
}

// TestRoomNeverStalls has far more bodies than fit grow side by side, some of which give up while they wait.
func TestRoomNeverStalls(t *testing.T) {
	room := NewRoom(testRoom, testRoom)
	var bodies sync.WaitGroup
	for i := range 100 {
		bodies.Go(func() {
			var s share
			defer room.leave(&s)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if i%4 == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(int(5*time.Millisecond))))
			}
			defer cancel()
			for range MaxBody / roomStep {
				if err := room.take(ctx, &s); err != nil {
					if i%4 != 0 {
						t.Errorf("a body that waits got no room: %v", err)
					}
					return
				}
				runtime.Gosched()
			}
		})
	}
	bodies.Wait()
	if room.taken() != 0 || room.promises != testPromises || room.waiting.Len() != 0 {
		t.Errorf("at the end %d bytes are taken, %d promises left, %d waiting", room.taken(), room.promises, room.waiting.Len())
	}
}

// TestNoRoom proves what a body is told for which there is no room until its call's time is over, and that small ones need none.
func TestNoRoom(t *testing.T) {
	room := NewRoom(testRoom, testRoom)
	var all share
	for range (testRoom-testPromises*MaxBody)/roomStep + 1 {
		if err := room.take(context.Background(), &all); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ size, status int }{{smallBody, 0}, {MaxBody, 503}} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		c := call(strings.NewReader(ofSize(tc.size)))
		c.Room, c.Request = room, c.Request.WithContext(ctx)
		if err := ReadJSON(c, &letter{}); statusOf(err) != tc.status {
			t.Errorf("a body of %d bytes in a full room: %v", tc.size, err)
		}
	}
}

// TestWork proves that bodies of many objects wait for each other before they are decoded, in the order in which they
// came to their end; that one who waits gives up with its call; that the room is given back before the answer is sent;
// and that a body of few objects needs none.
func TestWork(t *testing.T) {
	const objects = 100
	many := `{"items":[{}` + strings.Repeat(",{}", objects-2) + `]}` // with the outer one so many
	one := int64(len(many)*workOfByte + objects*workOfObject)
	room := NewRoom(testRoom, 2*one+one/2)
	send := func(body string, most time.Duration, then func(*Call)) error {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		defer cancel()
		c := call(strings.NewReader(body))
		c.Room, c.Request = room, c.Request.WithContext(ctx)
		defer c.leaveRoom()
		err := ReadJSON(c, &struct{}{})
		if err == nil {
			then(c)
		}
		return err
	}
	inside, leave := make(chan struct{}), make(chan struct{})
	stay := func(c *Call) {
		inside <- struct{}{}
		<-leave
		_ = WriteJSON(c, http.StatusOK, struct{}{})
		if c.has.work != 0 || c.body != nil {
			t.Errorf("an answer is sent, and %d bytes are taken", c.has.work)
		}
	}
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			if err := send(many, 20*time.Second, stay); err != nil {
				t.Error(err)
			}
		})
	}
	<-inside
	<-inside
	if err := send(many, 20*time.Millisecond, func(*Call) {}); statusOf(err) != 503 {
		t.Errorf("one too many: %v", err)
	}
	if err := send(`{"items":[{},{}]}`, 20*time.Second, func(c *Call) {}); err != nil {
		t.Errorf("a body of few objects: %v", err)
	}
	leave <- struct{}{}
	<-inside
	close(leave)
	calls.Wait()
	if err := send(`[`+strings.Repeat(many+",", 9)+many+`]`, 20*time.Second, nil); statusOf(err) != 400 {
		t.Errorf("a body that costs more than there is: %v", err)
	}
	if !room.work.TryAcquire(room.workSize) {
		t.Error("room is still taken at the end")
	}
}

// TestSmallBodyCosts: a small body whose length is told costs its bytes, its limiter and where the limiter's error would be put.
func TestSmallBodyCosts(t *testing.T) {
	body := strings.NewReader("")
	c := call(io.NopCloser(body))
	c.Room, c.Request.ContentLength = NewRoom(testRoom, testRoom), 2
	if n := testing.AllocsPerRun(100, func() {
		body.Reset("{}")
		if _, err := c.readBody(); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

// TestStalledBodyLeavesTheRoom: a body that has room and does not go on gives it back soon; one that comes slowly and
// steadily is read to its end, and its sender may wait for the answer.
func TestStalledBodyLeavesTheRoom(t *testing.T) {
	room := NewRoom(testRoom, testRoom)
	room.stepTime = 300 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		c := &Call{ResponseWriter: w, Request: r.WithContext(ctx), Room: room}
		Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
			if err := ReadJSON(c, &letter{}); err != nil {
				return err
			}
			select { // longer than a step may take
			case <-time.After(3 * room.stepTime):
			case <-c.Request.Context().Done():
				return errors.New("the sender is thought to have left")
			}
			return WriteJSON(c, http.StatusOK, letter{})
		}, func(c *Call, err error) {
			status, _, msg := Status(err)
			http.Error(c, msg, status)
		})
	}))
	defer server.Close()
	send := func(steps int, between time.Duration) (answer string) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return ""
		}
		defer conn.Close()
		body := ofSize(MaxBody)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		for i := range steps {
			if _, err := io.WriteString(conn, body[i*len(body)/16:(i+1)*len(body)/16]); err != nil {
				break
			}
			time.Sleep(between)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line)
	}
	var done sync.WaitGroup
	for range 6 { // they have all of the room but the promise, and one of them has that
		done.Go(func() {
			if got := send(14, 0); !strings.HasPrefix(got, "HTTP/1.1 408") && !strings.HasPrefix(got, "HTTP/1.1 503") {
				t.Errorf("a body that stalled: %q", got)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	done.Go(func() {
		if got := send(16, 0); got != "HTTP/1.1 200 OK" {
			t.Errorf("beside bodies that stall: %q", got)
		}
	})
	done.Wait()
	if got := send(16, 100*time.Millisecond); got != "HTTP/1.1 200 OK" {
		t.Errorf("a body that came slowly: %q", got)
	}
	if n := room.taken(); n != 0 {
		t.Errorf("%d bytes are still taken", n)
	}
}

// TestTooLargeIsToldBeforeItIsSent: who asks whether to send a body that is too large is told no, not to go on.
func TestTooLargeIsToldBeforeItIsSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{ResponseWriter: w, Request: r}
		Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error { return ReadJSON(c, &letter{}) }, func(c *Call, err error) {
			status, _, msg := Status(err)
			http.Error(c, msg, status)
		})
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", MaxBody+1)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 413") {
		t.Errorf("%q, %v", line, err)
	}
}
