// Command client records a yes and, through another protocol, a no, and asks whether they are in force, all by the
// client that oapi-codegen made of the document.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/google/uuid"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run prints "purpose granted reason" for each purpose that it asks about.
func run(ctx context.Context, url, organization, key string) error {
	client, err := NewClientWithResponses(url, WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	if err != nil {
		return err
	}
	id, err := uuid.Parse(organization)
	if err != nil {
		return err
	}
	email := "generated@shop.example"
	recorded, err := client.RecordEventsWithResponse(ctx, id, "default", nil, NewEvents{Items: []NewEvent{
		{Identifiers: &Identifiers{Email: &email}, Purpose: "marketing", State: StateAccepted}}})
	if err != nil {
		return err
	}
	if recorded.JSON201 == nil {
		return fmt.Errorf("record: %s %s", recorded.Status(), recorded.Body)
	}
	hub, err := client.HubSetConsentsWithResponse(ctx, nil, HubConsentRequest{Email: email, Locale: "DE",
		Consents: &[]HubConsent{{Key: "analytics", Granted: false}}})
	if err != nil {
		return err
	}
	if hub.StatusCode() != http.StatusAccepted {
		return fmt.Errorf("record through Consent Hub: %s %s", hub.Status(), hub.Body)
	}
	checked, err := client.CheckWithResponse(ctx, id, Check{Identifiers: &Identifiers{Email: &email},
		Purposes: &[]string{"marketing", "analytics"}})
	if err != nil {
		return err
	}
	if checked.JSON200 == nil {
		return fmt.Errorf("check: %s %s", checked.Status(), checked.Body)
	}
	for _, r := range *checked.JSON200.Results {
		fmt.Println(r.Purpose, r.Granted, r.Reason)
	}
	refused, err := client.CheckWithResponse(ctx, id, Check{})
	if err != nil {
		return err
	}
	problem := refused.ApplicationproblemJSON422
	if problem == nil || problem.Errors == nil {
		return fmt.Errorf("check of nobody: %s %s", refused.Status(), refused.Body)
	}
	fmt.Println(problem.Status, problem.Type)
	return nil
}
