"use strict";
SwaggerUIBundle({
	url: "api/openapi.json",
	dom_id: "#calls",
	deepLinking: true,
	docExpansion: "none",
	defaultModelsExpandDepth: 0,
	validatorUrl: null,
});
