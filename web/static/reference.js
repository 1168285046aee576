// Starts Swagger UI on the API reference page.
const target = document.getElementById("swagger-ui");
window.SwaggerUIBundle({ url: target.dataset.openapi, domNode: target, deepLinking: true, validatorUrl: null });
