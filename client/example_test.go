package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/consentd/consentd/client"
)

// connect makes a client of the examples' server; yours has a URL, an organization and a key of its own.
func connect() *client.Client {
	c, err := client.New(client.Config{URL: shop.url, Organization: shop.organization, Key: shop.key})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A form was sent: record what the person decided, and ask before the next letter.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := connect()
	lin := client.Identifiers{UserID: "lin", Email: "lin@example.com"}
	_, err := c.Record(ctx, client.Decision{Identifiers: lin, Purpose: "marketing", State: client.Accepted,
		Evidence: client.Evidence{DisplayedText: "Yes, send me news.", FormURL: "https://shop.example/signup"}})
	if err != nil {
		log.Fatal(err)
	}
	ok, err := c.May(ctx, client.Identifiers{Email: "lin@example.com"}, "marketing")
	if err != nil {
		log.Fatal(err) // and nothing is sent
	}
	fmt.Println(ok)
	// Output: true
}

func ExampleClient_RecordOnce() {
	ctx := context.Background()
	c := connect()
	no := client.Decision{Identifiers: client.Identifiers{UserID: "kim"}, Purpose: "tracking", State: client.Declined}
	first, err := c.RecordOnce(ctx, "form 4711", no)
	if client.IsUnknown(err) { // nobody knows whether it was done: the same call settles it, now or after a restart
		first, err = c.RecordOnce(ctx, "form 4711", no)
	}
	if err != nil {
		log.Fatal(err)
	}
	again, err := c.RecordOnce(ctx, "form 4711", no)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first[0].ID == again[0].ID)
	// Output: true
}

func ExampleClient_Check() {
	ctx := context.Background()
	c := connect()
	check, err := c.Check(ctx, client.Question{Identifiers: client.Identifiers{Email: "nobody@example.com"},
		Purposes: []string{"marketing", "analytics"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range check.Results {
		fmt.Println(r.Purpose, r.Granted, r.State, r.Reason)
	}
	// Output:
	// marketing false unknown never_asked
	// analytics false unknown never_asked
}

func ExampleClient_Regime() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	regime, err := connect().Regime(ctx, client.Place{Country: "DE", At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s since %s: %s\n", regime.Regime, regime.Since, regime.Law)
	// Output: opt-in since 2003-10-31: Directive 2002/58/EC Art. 13, as transposed
}

func ExampleClient_CreateKey() {
	ctx := context.Background()
	c := connect()
	key, err := c.CreateKey(ctx, client.NewKey{Name: "signup form", Scopes: []string{"consents:write"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Name, key.Scopes, key.Text != "")
	if err := c.RevokeKey(ctx, key.ID); err != nil {
		log.Fatal(err)
	}
	// Output: signup form [consents:write] true
}

func ExampleError() {
	_, err := connect().CreateKey(context.Background(), client.NewKey{Name: "typo", Scopes: []string{"consents:reed"}})
	fmt.Println(client.IsInvalid(err), client.StatusOf(err))
	// Output: true 422
}
