"use strict";
SwaggerUIBundle({
	url: "api/openapi.json",
	dom_id: "#calls",
	deepLinking: true,
	docExpansion: "list",
	defaultModelsExpandDepth: 0,
	validatorUrl: null,
});
