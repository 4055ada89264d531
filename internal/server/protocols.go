package server

import (
	"time"

	"github.com/consentd/consentd/internal/protocol"
	"github.com/consentd/consentd/internal/protocol/concord"
	"github.com/consentd/consentd/internal/protocol/consentgrid"
	"github.com/consentd/consentd/internal/protocol/consenthub"
	"github.com/consentd/consentd/internal/protocol/native"
	"github.com/consentd/consentd/internal/protocol/slashid"
	"github.com/consentd/consentd/internal/service"
)

// Protocols is the list of the protocols that the server speaks. A further one is one line here.
func Protocols(svc *service.Service, o Options) []protocol.Protocol {
	return []protocol.Protocol{
		concord.New(svc),
		slashid.New(svc, slashid.Options{Issuer: o.PublicURL, Origins: o.CORSOrigins, Clock: time.Now}),
		consenthub.New(svc, o.Places),
		consentgrid.New(svc),
		native.New(svc, native.Options{LedgerPublic: o.LedgerPublic}),
	}
}
