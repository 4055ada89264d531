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
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/consentd/consentd/internal/consent"
)

const testBudget = 4 * MaxBody

func newTestBudget() *BodyBudget { return NewBodyBudget(testBudget, testBudget) }

// taken gives how much of a part of a test's budget somebody has.
func taken(from *semaphore.Weighted) int64 {
	free := sort.Search(testBudget, func(n int) bool {
		if !from.TryAcquire(int64(n) + 1) {
			return true
		}
		from.Release(int64(n) + 1)
		return false
	})
	return testBudget - int64(free)
}

// TestBodyTakesMemoryWhenItComes sends large bodies slowly: whatever length they announce, they have nothing of the
// budget before a small body has come of them, and then never more than twice what came.
func TestBodyTakesMemoryWhenItComes(t *testing.T) {
	for _, length := range []int64{-1, MaxBody, 1 << 40} {
		in, out := io.Pipe()
		c, budget := call(in), newTestBudget()
		c.Budget, c.Request.ContentLength = budget, length
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
			sent += n
			if n := takenBytes(budget); n > MaxBody || n > max(2*int64(sent), 2*smallBody) || sent < smallBody && n > 0 {
				t.Fatalf("of length %d: %d bytes came, and the body has %d of the budget", length, sent, n)
			}
		}
		_ = out.Close()
		if err := <-read; length <= MaxBody && err != nil {
			t.Errorf("of length %d: %v", length, err)
		}
		if n := takenBytes(budget); length <= MaxBody && n < MaxBody {
			t.Errorf("of length %d: a body of %d bytes is in memory, and has %d of the budget", length, len(body), n)
		}
		read <- nil
		<-read
		if n := takenBytes(budget); n != 0 {
			t.Errorf("of length %d: %d bytes are still taken at the end of the call", length, n)
		}
	}
}

// TestAnnouncedBodyTakesLittle announces bodies that need nothing of the budget, of which nothing comes.
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

// TestBudgetIsGivenBack ends calls in every way that there is.
func TestBudgetIsGivenBack(t *testing.T) {
	budget := newTestBudget()
	large := ofSize(MaxBody)
	for name, tc := range map[string]struct {
		body   io.Reader
		length int64
		handle func() error
	}{
		"answered":            {strings.NewReader(large), MaxBody, func() error { return nil }},
		"answered, in chunks": {strings.NewReader(large), -1, func() error { return nil }},
		"refused":             {strings.NewReader(large), MaxBody, func() error { return errors.New("no") }},
		"replayed": {strings.NewReader(large), -1,
			func() error { return &consent.Replayed{Answer: Answer{Status: 200}.encode()} }},
		"panics":                {strings.NewReader(large), MaxBody, func() error { panic("on purpose") }},
		"no JSON":               {strings.NewReader(strings.Repeat("x", MaxBody)), MaxBody, nil},
		"too large":             {strings.NewReader(large + large), -1, nil},
		"breaks off":            {io.MultiReader(strings.NewReader(large[:MaxBody/2]), brokenReader{}), MaxBody, nil},
		"breaks off, in chunks": {io.MultiReader(strings.NewReader(large[:MaxBody/2]), brokenReader{}), -1, nil},
		"ends early":            {strings.NewReader(large[:MaxBody/2]), MaxBody, nil},
	} {
		c := call(tc.body)
		c.Budget, c.Request.ContentLength = budget, tc.length
		func() {
			defer func() { _ = recover() }()
			Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
				err := ReadJSON(c, &letter{})
				if (err == nil) != (tc.handle != nil) || takenBytes(budget) < MaxBody/4 {
					t.Errorf("%s: read with %v, and %d bytes are taken", name, err, takenBytes(budget))
				}
				if err != nil {
					return err
				}
				return tc.handle()
			}, func(*Call, error) {})
		}()
		if takenBytes(budget) != 0 {
			t.Fatalf("%s: %d bytes are still taken", name, takenBytes(budget))
		}
	}
}

// TestBodiesDoNotDeadlock has far more bodies than fit side by side, some of which give up while they wait.
func TestBodiesDoNotDeadlock(t *testing.T) {
	budget := newTestBudget()
	var bodies sync.WaitGroup
	for i := range 100 {
		bodies.Go(func() {
			c := call(strings.NewReader(""))
			c.Budget = budget
			defer c.releaseBody()
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if i%4 == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(int(5*time.Millisecond))))
			}
			defer cancel()
			c.Request = c.Request.WithContext(ctx)
			size := smallBody + rand.IntN(MaxBody-smallBody)
			var err error
			for has := smallBody; has < size && err == nil; {
				has = min(2*has, size)
				err = c.acquireBytes(int64(has))
				time.Sleep(time.Duration(rand.IntN(int(time.Millisecond))))
			}
			if err == nil {
				err = c.acquireDecoded(size, size/1000)
			}
			if err != nil && i%4 != 0 {
				t.Errorf("a body that waits got no memory: %v", err)
			}
		})
	}
	bodies.Wait()
	if bytes, decoded := takenBytes(budget), taken(budget.decoded); bytes != 0 || decoded != 0 {
		t.Errorf("at the end %d bytes are taken for bodies and %d for what is made of them", bytes, decoded)
	}
}

// takenBytes is what bodies have of a budget, both parts of which are of testBudget together.
func takenBytes(b *BodyBudget) int64 { return taken(b.bytes) + taken(b.reserve) - testBudget }

// fill leaves nothing of a budget for bytes.
func fill(t *testing.T, b *BodyBudget) {
	t.Helper()
	if !b.bytes.TryAcquire(testBudget-MaxBody) || !b.reserve.TryAcquire(MaxBody) {
		t.Fatal("the budget is not as large as it should be")
	}
}

// TestSlowBodiesHoldLittle has many bodies that stop when they have become large: others are read beside them.
func TestSlowBodiesHoldLittle(t *testing.T) {
	budget := newTestBudget()
	var slow []*Call
	for range 30 {
		c := call(strings.NewReader(""))
		c.Budget = budget
		slow = append(slow, c)
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		if err := c.acquireBytes(2 * smallBody); err != nil {
			t.Logf("%d slow bodies are let in", len(slow)-1)
			break
		}
	}
	if len(slow) < 20 {
		t.Errorf("only %d slow bodies find memory", len(slow))
	}
	slow[0].releaseBody()
	slow[len(slow)-1].releaseBody()
	c := call(strings.NewReader(ofSize(MaxBody)))
	c.Budget = budget
	if err := ReadJSON(c, &letter{}); err != nil {
		t.Errorf("a body next to slow ones: %v", err)
	}
	c.releaseBody()
	for _, c := range slow {
		c.releaseBody()
	}
	if takenBytes(budget) != 0 {
		t.Error("some of the budget is left with nobody")
	}
}

// TestFullBudget proves the answer to a body for which there is no memory until its call's time is over, and that small
// ones need none.
func TestFullBudget(t *testing.T) {
	budget := newTestBudget()
	fill(t, budget)
	for _, tc := range []struct{ size, status int }{{smallBody, 0}, {MaxBody, 503}} {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		c := call(strings.NewReader(ofSize(tc.size)))
		c.Budget, c.Request = budget, c.Request.WithContext(ctx)
		if err := ReadJSON(c, &letter{}); statusOf(err) != tc.status {
			t.Errorf("a body of %d bytes in a full budget: %v", tc.size, err)
		}
	}
}

// TestWaitLeavesTimeToRead proves that a body waits for memory no longer than it could still be read.
func TestWaitLeavesTimeToRead(t *testing.T) {
	budget := newTestBudget()
	budget.stepTime = 10 * time.Second
	fill(t, budget)
	ctx, cancel := context.WithTimeout(context.Background(), budget.stepTime+50*time.Millisecond)
	defer cancel()
	c := call(strings.NewReader(ofSize(MaxBody)))
	c.Budget, c.Request = budget, c.Request.WithContext(ctx)
	if err := ReadJSON(c, &letter{}); statusOf(err) != 503 || ctx.Err() != nil {
		t.Errorf("a body that waits: %v; its call's time: %v", err, ctx.Err())
	}
}

// TestDecodedBudget proves that bodies of many objects wait for each other before they are decoded; that one that waits
// gives up with its call; that the memory is given back before the answer is sent; and that a body of few objects needs
// none.
func TestDecodedBudget(t *testing.T) {
	const objects = 100
	many := `{"items":[{}` + strings.Repeat(",{}", objects-2) + `]}` // with the outer one so many
	one := int64(len(many)*decodedPerByte + objects*decodedPerObject)
	budget := NewBodyBudget(testBudget, 2*one+one/2)
	send := func(body string, most time.Duration, then func(*Call)) error {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		defer cancel()
		c := call(strings.NewReader(body))
		c.Budget, c.Request = budget, c.Request.WithContext(ctx)
		defer c.releaseBody()
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
		if c.held.decoded != 0 || c.body != nil {
			t.Errorf("an answer is sent, and %d bytes are taken", c.held.decoded)
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
	if !budget.decoded.TryAcquire(budget.decodedSize) {
		t.Error("memory is still taken at the end")
	}
}

// TestSmallBodyCosts: a small body whose length is known costs its bytes, its limiter and where the limiter's error
// would be put.
func TestSmallBodyCosts(t *testing.T) {
	body := strings.NewReader("")
	c := call(io.NopCloser(body))
	c.Budget, c.Request.ContentLength = newTestBudget(), 2
	if n := testing.AllocsPerRun(100, func() {
		body.Reset("{}")
		if _, err := c.readBody(); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

// TestStalledBodyGivesItsMemoryBack: a body that has memory and does not go on loses it after a step's time; one that
// comes slowly and steadily is read to its end, and its sender may wait for the answer.
func TestStalledBodyGivesItsMemoryBack(t *testing.T) {
	budget := newTestBudget()
	budget.stepTime = 300 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		c := &Call{ResponseWriter: w, Request: r.WithContext(ctx), Budget: budget}
		Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error {
			if err := ReadJSON(c, &letter{}); err != nil {
				return err
			}
			select { // longer than a step may take
			case <-time.After(3 * budget.stepTime):
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
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			len(body))
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
	for range 6 { // four of them have all of the budget
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
	if n := takenBytes(budget); n != 0 {
		t.Errorf("%d bytes are still taken", n)
	}
}

// TestTooLargeIsRefusedBeforeItIsSent: who asks whether to send a body that is too large hears no, not to go on.
func TestTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &Call{ResponseWriter: w, Request: r}
		Handle(c, slog.New(slog.DiscardHandler), func(c *Call) error { return ReadJSON(c, &letter{}) },
			func(c *Call, err error) {
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
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: "+
		"application/json\r\nContent-Length: %d\r\n\r\n", MaxBody+1)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 413") {
		t.Errorf("%q, %v", line, err)
	}
}
