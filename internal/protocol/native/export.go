package native

import (
	"context"
	"io"
	"net/http"

	"github.com/consentd/consentd/internal/consent"
	"github.com/consentd/consentd/internal/protocol"
)

// form is how an export is sent.
type form struct {
	mediaType, contentType string
	extension              string
	memory                 int64 // that an export holds meanwhile
	rows                   func(columns []column, to io.Writer) rowWriter
}

const jsonType = "application/json"

var forms = []form{
	{"application/x-ndjson", "application/x-ndjson", "ndjson", 5 << 20, newNDJSON},
	{"text/csv", "text/csv; charset=utf-8; header=present", "csv", 5 << 20, newCSV},
	{"application/vnd.apache.parquet", "application/vnd.apache.parquet", "parquet", 14 << 20, newParquet},
}

// formOf tells in which form a list is asked for; nil: a page in JSON. Errors: 406 where it is none of them, since a
// page is not what somebody wants who asks for all of it in a form that we do not know.
func formOf(c *protocol.Call) (*form, error) {
	c.Header().Add("Vary", "Accept")
	types := []string{jsonType}
	for i := range forms {
		types = append(types, forms[i].mediaType)
	}
	wanted := protocol.Accepted(c.Request, types...)
	if wanted == "" {
		return nil, &protocol.StatusError{Status: http.StatusNotAcceptable, Msg: "Accept names none of " +
			consent.Listed(types)}
	}
	for i := range forms {
		if forms[i].mediaType == wanted {
			return &forms[i], nil
		}
	}
	return nil, nil
}

// export is what an answer to an export is written by.
type export struct {
	rowWriter
	cells []cell // of the row that is next
}

// export answers a call with all rows that write adds.
func (f *form) export(c *protocol.Call, name string, columns []column,
	write func(ctx context.Context, to *export) error) error {
	return c.Stream(f.contentType, f.memory, func(ctx context.Context, to *protocol.Stream) error {
		to.Attach(name + "." + f.extension)
		e := &export{f.rows(columns, to), make([]cell, len(columns))}
		if err := write(ctx, e); err != nil {
			return err
		}
		return e.end()
	})
}

// exportEvents answers GET {org}/events in a form that has all of it.
func (a *api) exportEvents(c *protocol.Call, f *form, filter consent.EventFilter) error {
	columns := eventColumns
	if f.extension == "ndjson" {
		columns = lineColumns
	}
	return f.export(c, "events", columns, func(ctx context.Context, to *export) error {
		return a.svc.ExportEvents(ctx, c.Actor, filter, func(part *consent.ExportedEvents) error {
			for i := range part.Rows {
				if err := fillEvent(to.cells, &part.Rows[i]); err != nil {
					return err
				}
				if len(to.cells) > lineUnreadable && part.Rows[i].Unreadable {
					to.cells[lineUnreadable].setBoolean(true)
				}
				if err := to.row(to.cells); err != nil {
					return err
				}
			}
			return to.flush()
		})
	})
}

// inQueryOf makes a query parameter of what the core calls a field of a filter.
func inQueryOf(err error) error {
	if !consent.IsKind(err, consent.Unprocessable) || consent.AsError(err).Field == "" {
		return err
	}
	e := *consent.AsError(err)
	e.Field = inQuery + e.Field
	return &e
}
