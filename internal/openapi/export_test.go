package openapi

// DocumentOf is Document of other files.
var DocumentOf = documentOf
