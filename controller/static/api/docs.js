"use strict";
SwaggerUIBundle({ url: "/v2/schema", dom_id: "#api", deepLinking: true, docExpansion: "none", validatorUrl: null });
